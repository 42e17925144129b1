"""What the engine publishes beside the figures themselves (tests/test_kernels_availability.py): from its first commit
on, when there is nobody to publish for."""

import numpy as np

from engine.commands import PutNames
from engine.journal.memory import MemoryJournal
from engine.outcomes import Namespace
from engine.state import State
from engine.writer import Engine
from tests import asks
from tests.driving import LIMITS, SECRET, START, columns, received, replay_of, texts

PLACE = [(200_000_000, 700_000_000)]


def test_an_engine_without_channels_publishes_nothing_and_its_first_channel_gets_what_there_is():
    engine = Engine(State(np.frombuffer(SECRET, np.uint64).copy(), LIMITS), MemoryJournal(keep=True))
    for command in (
        columns(asks.Opening("nodes", ((0, True),)), PLACE),
        PutNames("names", Namespace.SKU, texts(["A", "B"])),
        columns(received("stock", (0, 0, 5)), PLACE),
    ):
        changes = engine.submit([command], START).ats_changes()
        assert changes is not None
        assert changes.sku.size == 0
    assert replay_of(engine).digest() == engine.state.digest()
    assert Engine(replay_of(engine), engine.journal).availability is not None
    pending = engine.submit([columns(asks.Channels("web", ((0, asks.Policy(frozenset({0}))),)), PLACE)], START)
    changes = pending.ats_changes()
    assert changes is not None
    assert dict(zip(changes.sku.tolist(), changes.units.tolist(), strict=True)) == {0: 5}
    engine.close()
