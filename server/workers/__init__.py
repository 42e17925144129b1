"""Workers that carry what the engine decided to the world outside; ranking decides which of it goes first."""
