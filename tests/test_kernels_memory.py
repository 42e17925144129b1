"""Arrays that kernels make are let go of: most kernels count no references (kernels/options.py), so a slip would leak,
or free what is in use, and no other test would see it."""

import gc
from collections.abc import Iterator
from pathlib import Path

import numba
import pytest
from numba.core.runtime import _nrt_python, rtsys

from tests import test_kernels_planning as planning
from tests.command_line import run
from tests.test_cli import Shop
from tests.test_cli_least_cost import planned

pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")


@pytest.fixture
def counting() -> Iterator[None]:
    was = _nrt_python.memsys_stats_enabled()
    _nrt_python.memsys_enable_stats()
    yield
    if not was:
        _nrt_python.memsys_disable_stats()


def arrays() -> tuple[int, int]:
    """Made and freed by kernels so far; what was handed to them counts in both."""
    gc.collect()
    stats = rtsys.get_allocation_stats()
    return stats.mi_alloc, stats.mi_free


def test_kernels_free_as_many_arrays_as_they_make(tmp_path: Path, counting: None) -> None:
    shop = Shop(tmp_path)
    made, freed = arrays()
    for policy in ("nearest", "least-cost"):
        data = tmp_path / policy
        done = planned(shop, "--data", data) if policy == "least-cost" else run(*shop.allocate("--data", data))
        assert done.code == 0, done
        assert run("verify", "--data", data).code == 0
    for seed in range(3):
        found = planning.case(seed, orders=40, skus=12)
        planning.plan(found.demand, found.costs, found.stock)
    made_now, freed_now = arrays()
    assert made_now - made > 100
    assert made_now - made == freed_now - freed
