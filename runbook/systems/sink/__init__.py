"""The sink, as its pages tell of it."""
