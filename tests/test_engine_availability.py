"""What the engine publishes beside the figures themselves (tests/test_kernels_availability.py): from its first commit
on, when there is nobody to publish for, with more channels, and after a start."""

import numpy as np

from engine.commands import PutNames
from engine.journal.memory import MemoryJournal
from engine.outcomes import Namespace
from engine.state import State
from engine.writer import Engine
from tests import asks
from tests.driving import LIMITS, SECRET, START, columns, counted, received, replay_of, texts

PLACE = [(200_000_000, 700_000_000)]


def stocked(*policies: asks.Policy) -> Engine:
    """An engine with two SKUs, five units of the first one, and these channels."""
    engine = Engine(State(np.frombuffer(SECRET, np.uint64).copy(), LIMITS), MemoryJournal(keep=True))
    for command in (
        columns(asks.Opening("nodes", ((0, True),)), PLACE),
        PutNames("names", Namespace.SKU, texts(["A", "B"])),
        columns(asks.Channels("channels", tuple(enumerate(policies))), PLACE),
        columns(received("stock", (0, 0, 5)), PLACE),
    ):
        engine.commit(command, START)
    return engine


def test_a_figure_of_no_units_is_after_a_start_not_older_than_what_was_told_before():
    engine = stocked(asks.Policy(frozenset({0})))
    assert engine.availability is not None
    assert engine.availability.figure(0, 0) == (5, 4)
    engine.commit(columns(counted("count", (0, 0, 0)), PLACE), START)
    assert engine.availability.figure(0, 0) == (0, 5)
    started = Engine(replay_of(engine), engine.journal)
    assert started.availability is not None
    assert started.availability.figure(0, 0) == (0, 5)


def test_a_change_that_comes_with_a_new_channel_is_told_to_the_others_too():
    everywhere, nowhere = asks.Policy(frozenset({0})), asks.Policy(frozenset())
    engine = stocked(everywhere)
    more = columns(asks.Channels("more", ((0, nowhere), (1, everywhere))), PLACE)
    changes = engine.submit([more], START).ats_changes()
    assert changes is not None
    told = zip(changes.channel.tolist(), changes.sku.tolist(), changes.units.tolist(), strict=True)
    assert sorted(told) == [(0, 0, 0), (1, 0, 5)]


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
