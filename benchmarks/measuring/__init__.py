"""How the sink is measured: the broker and its events, the contestants, the sections, the tables."""
