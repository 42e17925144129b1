"""Fixtures that more than one file of tests asks for, and what holds for all of them."""

import pytest

from tests.stores import cluster, sentinel, store

__all__ = ["cluster", "sentinel", "store"]


def pytest_configure(config: pytest.Config) -> None:
    """Words of 64 bits wrap around by design; where a kernel runs as plain Python, NumPy would warn of it."""
    config.addinivalue_line("filterwarnings", "ignore:overflow encountered:RuntimeWarning")
