"""The parts of the edge proxy and of the gateway behind it."""
