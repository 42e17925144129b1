"""First answers again: read once a record, and where the record's segment was moved away a reply that says so."""

from collections.abc import Callable
from unittest import mock

import numpy as np
import pytest

from engine.journal.segments import Journal
from engine.lifecycle import Action
from engine.outcomes import Reply
from engine.snapshot import build_snapshot, start_state
from engine.state import State
from engine.writer import Engine
from tests import asks
from tests.driving import EVERY_NODE, LIMITS, SECOND, START, columns, place, plain, received, reserve
from tests.fake_disk import FakeDisk

PLACE = [(200_000_000, 700_000_000)]
ACTS = asks.Acts(tuple(asks.Act(f"pick-{number}", "kept", Action.PICK, 1) for number in range(50)))


def confirm(reservation: str, request: str, order_id: str = "first") -> asks.Confirm:
    return asks.Confirm((asks.Confirmation(request, order_id, reservation),))


def release(reservation: str, request: str) -> asks.Release:
    return asks.Release((asks.Ending(request, reservation),))


def empty_state() -> State:
    return State(np.arange(4, dtype=np.uint64), LIMITS)


def ask(engine: Engine, *asked: object, after: int = 0) -> list[list[asks.Answer]]:
    return [plain(answers) for answers in engine.submit([columns(one, PLACE) for one in asked], START + after).wait()]


@pytest.fixture
def engine() -> Engine:
    """One node with a thousand units; orders, carts and requests of every kind, in one sealed segment."""
    engine = Engine(empty_state(), Journal.open(FakeDisk()))
    for asked in (
        asks.Opening("nodes", ((0, True),)),
        asks.Codes("codes", (0,)),
        asks.Names("names", ("A",)),
        asks.Channels("channels", ((0, asks.Policy(EVERY_NODE)),)),
        received("stock", (0, 0, 1000)),
        asks.Place((asks.Cart("kept", ((0, 100),)), asks.Cart("other", ((0, 1),)))),
        reserve("confirmed", (0, 1), expires_at=START + SECOND),
        reserve("released", (0, 1), expires_at=START + SECOND),
        confirm("confirmed", "confirmation"),
        release("released", "ending"),
        ACTS,
    ):
        ask(engine, asked)
    engine.journal.seal()
    return engine


def moved_away(engine: Engine) -> Engine:
    """Another engine over the same folder: its old segment is archived and gone, a snapshot has the state."""
    disk = engine.journal._disk
    assert build_snapshot(disk, engine.journal, empty_state())
    ask(engine, place("new", (0, 1)))
    (archived,) = engine.journal.archive(engine.journal.sealed_up_to + 1)
    engine.close()
    disk.remove(archived)
    state, journal = empty_state(), Journal.open(disk)
    start_state(disk, journal, state)
    return Engine(state, journal)


REPEATS: dict[str, Callable[[], object]] = {
    "an order": lambda: place("kept", (0, 100)),
    "a reservation": lambda: reserve("released", (0, 1), expires_at=START + SECOND),
    "a confirmation": lambda: confirm("confirmed", "confirmation"),
    "a release": lambda: release("released", "ending"),
    "an action": lambda: ACTS,
    "a stock movement": lambda: received("stock", (0, 0, 1000)),
    "a catalogue": lambda: asks.Names("names", ("A",)),
    "a new release of a reservation that ended": lambda: release("released", "once more"),
    "a new confirmation of a reservation that ended": lambda: confirm("confirmed", "once more", "second"),
}


@pytest.mark.parametrize("kind", REPEATS)
def test_a_repeat_whose_answer_was_moved_away_is_told_so_and_the_rest_of_its_batch_goes_on(engine: Engine, kind: str):
    later = moved_away(engine)
    answers, others = ask(later, REPEATS[kind](), asks.Place((asks.Cart("new", ((0, 1),)), asks.Cart("n", ((0, 2),)))))
    assert {(answer.reply, answer.again) for answer in answers} == {(Reply.ANSWER_ARCHIVED, False)}
    assert [(answer.reply, answer.again) for answer in others] == [(Reply.ALLOCATED, True), (Reply.ALLOCATED, False)]
    assert ask(later, place("next", (0, 1)))[0][0].reply is Reply.ALLOCATED


def test_a_repeat_whose_answer_was_moved_away_changes_nothing(engine: Engine):
    later = moved_away(engine)
    before = (later.state.sequence, later.state.digest())
    ask(later, ACTS, place("kept", (0, 100)), received("stock", (0, 0, 1000)))
    assert (later.state.sequence, later.state.digest()) == before


def test_a_record_is_read_once_for_all_the_answers_that_are_asked_for_again(engine: Engine):
    with mock.patch.object(engine.journal, "record", wraps=engine.journal.record) as read:
        engine._undurable.clear()
        for _ in range(2):
            assert all(answer.again for answer in ask(engine, ACTS)[0])
    assert read.call_count == 1


def test_answers_of_a_record_that_still_grows_are_those_of_its_end(engine: Engine):
    first = asks.Acts((asks.Act("a", "kept", Action.PACK, 1), asks.Act("a", "kept", Action.PACK, 1)))
    second = asks.Acts((asks.Act("b", "kept", Action.PACK, 2), asks.Act("b", "kept", Action.PACK, 2)))
    answers = ask(engine, first, second)
    assert [[(answer.quantity, answer.again) for answer in some] for some in answers] == [
        [(1, False), (1, True)],
        [(2, False), (2, True)],
    ]
