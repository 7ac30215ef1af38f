"""The local stack: which program plays which part, and how it is started and ended."""
