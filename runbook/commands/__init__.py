"""One package a command: its options, its steps, its result and its view."""
