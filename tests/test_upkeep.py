"""Upkeep: what is older than thirty days goes, in a quiet hour, and nothing else."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from engine.lifecycle import Action
from kernels.columns import Head
from kernels.keys import Size
from server.gather import ACT, ORDER, ActRow
from server.upkeep import KEPT, next_at, tidy
from tests import edge as edges
from tests.driving import START
from tests.test_batcher import on_edge, order

NOW = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=START)


def test_it_is_done_when_the_hour_strikes():
    noon = datetime(2026, 11, 28, 12, tzinfo=UTC)
    assert next_at(noon, 20) == datetime(2026, 11, 28, 20, tzinfo=UTC)
    assert next_at(noon, 12) == datetime(2026, 11, 29, 12, tzinfo=UTC)
    assert next_at(noon, 3) == datetime(2026, 11, 29, 3, tzinfo=UTC)


def test_closed_orders_and_old_keys_go_after_thirty_days_and_not_before(tmp_path: Path):
    async def test(edge: edges.Edge) -> None:
        state, place = edge.engine.state, edge.batcher.place
        await place(ORDER, order(1))
        await place(ORDER, order(2))
        await place(ACT, ActRow("a", 0, "o1", 0, -1, Action.CANCEL, 0, 0))
        keys = int(state.keys.sizes[Size.ENTRIES])
        await tidy(edge.batcher, NOW + KEPT - timedelta(seconds=1))
        assert (int(state.keys.sizes[Size.ENTRIES]), state.head(Head.FREE_ORDER)) == (keys, -1)
        edge.now += 10**6 * 3600 * 24 * 31
        await place(ORDER, order(3))
        await tidy(edge.batcher, NOW + timedelta(days=31))
        assert state.head(Head.FREE_ORDER) >= 0
        assert not (await place(ORDER, order(1))).again
        assert (await place(ORDER, order(3))).again

    on_edge(tmp_path, test)
