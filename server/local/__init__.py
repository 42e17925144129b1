"""Servers of ours that stand in for gateways and carriers: real HTTP, in the demo and in tests."""
