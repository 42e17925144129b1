"""Carriers: how they are asked. carrier.py is what all share and how one is chosen; one file a carrier beside it."""
