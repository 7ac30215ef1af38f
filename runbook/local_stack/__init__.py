"""The local stack: which program each service is, and how it is started and ended."""
