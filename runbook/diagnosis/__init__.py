"""The flow as a graph of claims: what must hold at each hop, and the fault that a broken claim names."""
