"""Workers: whatever speaks to the outside, each a client of the engine's service. README.md shows how one is made."""
