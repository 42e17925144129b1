"""Fixtures that more than one file of tests asks for."""

from tests.stores import cluster, sentinel, store

__all__ = ["cluster", "sentinel", "store"]
