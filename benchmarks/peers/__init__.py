"""Other programs that do the sink's work or a part of it; each runs as a process of its own."""
