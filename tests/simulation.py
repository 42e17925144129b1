"""The whole engine over a disk that loses power, by a seed: random commands in, a crash at any change of the disk, a
start from what is left, checks of every promise, and on.

Beside it runs a *twin* that nobody disturbs: the same engine over a journal in memory. It is given exactly what became
durable, in order; so after every start the state must have its digest, and every answer must be its answer. What is
promised is numbered as in RELIABILITY.md. tests/test_simulation.py asks for the runs.
"""

import errno
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from engine import writer
from engine.journal import JournalDamaged, JournalError, JournalFull
from engine.journal.memory import MemoryJournal
from engine.journal.segments import Journal
from engine.outcomes import OutOfRoom, Reply
from engine.snapshot import build_snapshot, start_state
from engine.state import State
from engine.verify import audit_state, verify
from engine.writer import Engine, EngineFailed
from kernels.columns import NONE, POLICY_FIGURES, OrderKind
from tests import asks
from tests.clients import CHANNELS, NODES, PLACES, SKUS, Batch, Clients
from tests.driving import LIMITS, SECRET, START, columns, fences, figures_of, open_orders, plain
from tests.fake_disk import CHANGES, Crash, FakeDisk
from tests.rules import backed

SEAL_BYTES, CHUNK_BYTES = 40 << 10, 4 << 10
ACKNOWLEDGED = "acknowledged"
ROOM_PART = 8  # of the room that the engine asks for: the commands are small, and segments should be sealed often
ONE_BY_ONE = {asks.Place: "orders", asks.Reserve: "orders", asks.Confirm: "requests", asks.Release: "requests",
              asks.Acts: "requests"}  # fmt: skip
Key = tuple[Any, int, str]


class Broken(AssertionError):
    """A promise was not kept; the message has the seed that shows it again."""


class PowerLost(OSError):
    """What a dead disk answers."""

    def __init__(self) -> None:
        super().__init__(errno.EIO, "the power is gone")


class MortalDisk(FakeDisk):
    """Loses power before or after one of its changes; from then on it does nothing."""

    left = -1  # changes until then; negative: none is planned
    kind = "any"  # of the changes that count
    after = False
    is_dead = False

    def die(self, changes: int, kind: str, after: bool) -> None:
        """Lose power at so many changes of a kind from now, with that one or without it."""
        self.left, self.kind, self.after = changes, kind, after

    def read(self, name: str, offset: int, length: int) -> bytes:
        self._check_alive()
        return super().read(name, offset, length)

    def map(self, name: str) -> memoryview:
        self._check_alive()
        return super().map(name)

    def _check_alive(self) -> None:
        if self.is_dead:
            raise PowerLost

    def _change(self, kind: str, *arguments: Any) -> None:
        self._check_alive()
        if self.kind in ("any", kind):
            self.left -= 1
            self.is_dead = self.left == 0
        if not self.is_dead or self.after:
            getattr(FakeDisk, kind)(self, *arguments)
        self._check_alive()


for _kind in CHANGES:
    setattr(MortalDisk, _kind, lambda self, *arguments, _kind=_kind: self._change(_kind, *arguments))


class SmallSteps(Engine):
    """An engine that asks for little room at a time."""

    def _bytes_max(self, command: Any) -> int:
        return super()._bytes_max(command) // ROOM_PART


def check(holds: Any, what: Any) -> None:
    if not holds:
        raise Broken(str(what))


def empty_state() -> State:
    return State(np.frombuffer(SECRET, np.uint64).copy(), LIMITS)


def start(disk: FakeDisk) -> SmallSteps:
    """As Engine.open does it, without a folder: the journal, the last snapshot, the tail."""
    journal = Journal.open(disk, seal_bytes=SEAL_BYTES, chunk_bytes=CHUNK_BYTES)
    state = empty_state()
    started_from = start_state(disk, journal, state)
    engine = SmallSteps(state, journal)
    engine.started_from = started_from
    return engine


def requests_of(asked: Any) -> list[tuple[Key, Any]]:
    """Idempotency keys of a command, each with its content, in the order of the answers."""
    if type(asked) in ONE_BY_ONE:
        rows = getattr(asked, ONE_BY_ONE[type(asked)])
        return [((type(asked), row.channel, row.request if hasattr(row, "request") else row.id), row) for row in rows]
    if isinstance(asked, (asks.Retire, asks.Forget)):
        return []
    alone = isinstance(asked, (asks.Stock, asks.Reallocate))
    kind = type(asked) if alone else asks.Channels  # the catalogue has one namespace
    return [((kind, -1, asked.request), asked)]


def true_ats(state: State, channel: int, sku: int) -> int:
    """What a channel may be told that it can sell, as RULES.md words it, from the state's figures."""
    own = free = 0
    kept = fences(state)
    group = int(state.groups[channel, 0] & ~state.excluded[channel, 0])
    for node in range(NODES):
        if group >> node & 1 and state.nodes.flag[node] and not state.closed[channel]:
            units = figures_of(state, sku, node)[1]
            of = backed({c: u for (s, n, c), u in kept.items() if (s, n) == (sku, node)}, units)
            own += of.get(channel, 0)
            free += units - sum(of.values())
    policies = state.policies
    limits: Sequence[Any] = [getattr(policies, name)[channel] for name in POLICY_FIGURES]
    row = policies.exception_head[sku]
    while row != NONE:
        if policies.exception_channel[row] == channel:
            limits = policies.exception_figures[row]
        row = policies.exception_next[row]
    share, buffer, cap, threshold, buffer_ppm = (int(limit) for limit in limits)
    units = own + share * free // 1_000_000
    value = min(cap, max(0, units - max(buffer, -(-buffer_ppm * units // 1_000_000))))
    return value if value >= threshold else 0


class Simulation:
    """One seed: lives of one engine, one after the other on what the last crash left."""

    def __init__(self, seed: int, disk: Any) -> None:
        self.chance = random.Random(seed)
        self.clients = Clients(self.chance)
        self.disk = disk
        self.engine = start(self.disk)
        self.twin = Engine(empty_state(), MemoryJournal(keep=True))
        self.first: dict[Key, tuple[Any, Any, int]] = {}  # content, first answer, sequence: all that is durable
        self.in_flight: list[Batch] = []  # asked, not answered
        self.told: dict[tuple[int, int], tuple[int, int]] = {}  # (channel, SKU): version and units last published
        self.seen: Counter[str] = Counter()  # so that a test can ask whether the rare things came about
        self.settled: Callable[[Simulation], None] = lambda _: None

    def open(self) -> None:
        """What must be there before clients come."""
        for command in self.clients.catalogue():
            self.take(Batch([command], START))

    # Lives

    def live(self) -> None:
        """Start, check, work; lose power at some change of the disk, which may be one of the start itself."""
        chance, again = self.chance, self.in_flight
        self.engine.close()
        self.disk = self._after_power_loss()
        kind = chance.choice(["any", "write", "write", "sync"])
        most = chance.choice([6, 60]) if kind == "any" else chance.choice([3, 15])
        self.disk.die(chance.randint(1, most), kind, chance.random() < 0.6)
        try:
            self.engine = start(self.disk)
            self._check_start()
            for batch in again:
                self.take(batch)
            for _ in range(chance.randint(1, 12)):
                self._work()
        except (PowerLost, EngineFailed, JournalError):
            if not self.disk.is_dead:
                raise
            self.seen["power lost"] += 1

    def end(self) -> None:
        """The last start, and all of the journal."""
        self.engine.close()
        self.disk = self._after_power_loss()
        self.engine = start(self.disk)
        self._check_start()
        self._check_whole_journal()
        self.engine.close()
        self.twin.close()

    def _after_power_loss(self) -> MortalDisk:
        chance = self.chance
        survives = chance.choice(["all", "durable", "some", "some"])
        left = self.disk.after_power_loss(survives, chance.choice([512, 4096]), chance.randrange(1 << 30))
        assert isinstance(left, MortalDisk)
        left.capacity_bytes = None
        return left

    def _work(self) -> None:
        draw = self.chance.random()
        if draw < 0.12:
            self.snapshot(archive=self.chance.random() < 0.3, seal=self.chance.random() < 0.5)
        elif draw < 0.2:
            self._fill_disk()
        else:
            sequence = self.twin.state.sequence
            self.take(*(self.clients.batch(sequence) for _ in range(self.chance.choice([1, 1, 2, 3]))))

    def snapshot(self, archive: bool, seal: bool = True) -> None:
        """What `allot snapshot` does; without `seal` of what was sealed on the way."""
        journal = self.engine.journal
        if seal:
            journal.seal()
            self.engine._promised = 0  # the room went with the segment; `allot snapshot` has no writer beside it
        if build_snapshot(self.disk, journal, empty_state()):
            self.seen["snapshot"] += 1
        if archive and journal.archive(journal.sealed_up_to + 1):
            self.seen["archived"] += 1

    def _fill_disk(self) -> None:
        """No more space: work is refused and nothing half taken; what there is can be read; with space it goes on."""
        self.disk.capacity_bytes = sum(self.disk.size(name) for name in self.disk.names())
        for _ in range(6):
            batch = self.clients.batch(self.twin.state.sequence)
            try:
                self.take(batch)
            except JournalFull:
                self.seen["disk full"] += 1
                self._check_equal()
                self._check_published()
                break
        self.disk.capacity_bytes = None
        self.take(*self.in_flight)

    # Asking

    def take(self, *batches: Batch) -> None:
        """Submit batches one behind the other, then wait for each; what is answered is compared with the twin."""
        self.in_flight = list(batches)
        pending: list[Any] = []
        failure: BaseException | None = None
        for batch in batches:
            try:
                pending.append(self._submit(batch))
            except (EngineFailed, JournalError) as error:
                failure = error
                break
        for given in pending:
            batch = self.in_flight[0]
            if given is None:
                self._check_refused(batch)
            else:
                answers, changes = given.wait(), given.ats_changes()
                self._settle(batch, [plain(answer) for answer in answers], changes)
            self.in_flight.pop(0)
        if failure is not None:
            raise failure

    def _submit(self, batch: Batch) -> Any:
        """The pending answers; None where a limit of the state refuses the batch."""
        try:
            if batch.alone:
                return _Answered([self.engine.commit(batch.columns()[0], batch.stamp)])
            return self.engine.submit(batch.columns(), batch.stamp)
        except OutOfRoom:
            return None

    def _check_refused(self, batch: Batch) -> None:
        try:
            self.twin.submit(batch.columns(), batch.stamp)
        except OutOfRoom:
            self.seen["beyond a limit"] += 1
            return
        raise Broken(f"the engine refused what its twin took: {batch}")

    def _settle(self, batch: Batch, answers: Any = None, changes: Any = None) -> None:
        """What became durable is given to the twin; what was answered must be what the twin answers."""
        forgets = any(isinstance(asked, asks.Forget) for asked in batch.asked)
        open_then = self._open_at(batch) if forgets else set()
        try:
            own = self.twin.submit(batch.columns(), batch.stamp)
        except OutOfRoom:
            check(answers is None, "the engine answered what its twin refused")
            return
        expected = [plain(answer) for answer in own.wait()]
        check(answers is None or answers == expected, f"{batch}: answered {answers}, the twin {expected}")
        if changes is not None:
            self._hear(changes, own.ats_changes())
        for asked, given in zip(batch.asked, expected, strict=True):
            self.seen[type(asked).__name__] += 1
            for (key, content), answer in zip(requests_of(asked), given, strict=False):
                self._remember(key, content, answer)
            if isinstance(asked, asks.Forget):
                kept = {key for key, of in self.first.items() if of[2] >= asked.before_sequence}
                kept |= {
                    key for key, of in self.first.items()
                    if key[0] in (asks.Place, asks.Reserve) and of[1].number in open_then
                }  # fmt: skip
                self.first = {key: of for key, of in self.first.items() if key in kept}
        self.settled(self)

    def _open_at(self, batch: Batch) -> set[int]:
        """Numbers of the orders and reservations that are open when the batch is decided."""
        stamp = max(batch.stamp, self.twin.state.stamp)
        orders = open_orders(self.twin.state).items()
        return {number for number, (kind, _, _, due_at, _) in orders if kind == OrderKind.ORDER or due_at > stamp}

    def _remember(self, key: Key, content: Any, answer: Any) -> None:
        """4: the first answer again, a conflict, or a first answer."""
        before = self.first.get(key)
        if before is None:
            check(not answer.again, f"{key}: answered as a repeat, and it is not known")
            if key[0] is not asks.Place or answer.reply is not Reply.KEY_CONFLICT:  # its id is that of a confirmed one
                self.first[key] = content, answer, self.twin.state.sequence
        elif before[0] == content:
            check(answer == replace(before[1], again=True), f"{key}: first {before[1]}, now {answer}")
            self.seen["the same again"] += 1
        else:
            check(answer.reply is Reply.KEY_CONFLICT, f"{key}: other content was taken: {answer}")
            self.seen["other content"] += 1

    def _hear(self, changes: Any, expected: Any) -> None:
        """7: the version of a published figure only goes up."""
        for name in ("channel", "sku", "units"):
            check(np.array_equal(getattr(changes, name), getattr(expected, name)), f"{changes}, the twin {expected}")
        for channel, sku, units in zip(changes.channel, changes.sku, changes.units, strict=True):
            version, _ = self.told.get((int(channel), int(sku)), (-1, 0))
            check(changes.sequence > version, f"channel {channel}, SKU {sku}: {changes.sequence} after {version}")
            self.told[int(channel), int(sku)] = changes.sequence, int(units)

    # Checks

    def _check_start(self) -> None:
        """3: of what was in flight one commit at most may have become durable, and that one whole."""
        engine = self.engine
        acknowledged, found = self.twin.state.sequence, engine.state.sequence
        check(found in (acknowledged, acknowledged + 1), f"started at {found}, {acknowledged} were acknowledged")
        for batch in self.in_flight:
            if self.twin.state.sequence == found:
                break
            self._settle(batch)
        self.seen["durable, not acknowledged"] += found > acknowledged
        self.seen["torn"] += engine.journal.cut_off is not None
        self.seen["from a snapshot"] += bool(engine.started_from)
        self._check_equal()
        self._check_published()
        self.take(Batch([], 0))  # a reservation may be due since the last commit
        ask_all_again(engine, self.first)
        if self.chance.random() < 0.15:
            self._check_whole_journal()
        if self.chance.random() < 0.3:
            self._spoil()

    def _check_equal(self) -> None:
        """5, and the audit (2, 9): the state is that of the twin, which never stopped."""
        state, other = self.engine.state, self.twin.state
        check(state.sequence == other.sequence, f"sequence {state.sequence}, the twin's {other.sequence}")
        check(state.digest() == other.digest(), f"sequence {state.sequence}: another digest than the twin's")
        faults = audit_state(state)
        check(not faults, faults)
        bound, others = state.expected.bound, other.expected.bound
        check(bound.keys() == others.keys(), f"sequence {state.sequence}: supply is bound of other SKUs")
        for sku, columns_of_it in bound.items():
            is_same = all(np.array_equal(one, two) for one, two in zip(columns_of_it, others[sku], strict=True))
            check(is_same, f"sequence {state.sequence}: SKU {sku} is bound otherwise")

    def _check_published(self) -> None:
        """7: no version goes back through a restart, and every figure is the true one."""
        availability = self.engine.availability
        assert availability is not None
        for channel in range(CHANNELS):
            for sku in range(SKUS):
                units, version = availability.figure(channel, sku)
                before, known = self.told.get((channel, sku), (-1, 0))
                where = f"channel {channel}, SKU {sku}"
                check(version >= before, f"{where}: version {version} after {before}")
                check(version > before or units == known, f"{where}: {units} in version {version}, it was {known}")
                true = true_ats(self.engine.state, channel, sku)
                check(units == true, f"{where}: {units} are published, {true} may be sold")
                self.told[channel, sku] = version, units

    def _check_whole_journal(self) -> None:
        """1, 2, 5, 9 by the verify command's own code, from the first record and from the last snapshot."""
        for from_snapshot in (False, True):
            found = verify(self.disk, empty_state, from_snapshot)
            check(found.is_clean, found.faults)
            check(found.digest == self.twin.state.digest(), "a replay comes to another digest")
        self.seen["verified"] += 1

    def _spoil(self) -> None:
        """6: one wrong byte in what is durable. The start refuses it; where it need not look there, verify finds it."""
        disk = self.disk.copy()
        written = {segment.name: segment.size_bytes for segment in self.engine.journal.segments()}
        written |= {name: disk.size(name) for name in disk.names() if name.endswith(".snap")}
        name = self.chance.choice(sorted(written))
        at = self.chance.randrange(written[name])
        disk.content(name)[at] ^= 1 << self.chance.randrange(8)
        where = f"byte {at} of {name}"
        try:
            engine = start(disk)
        except JournalDamaged as damage:
            check(damage.segment == name or "follow on" in damage.found, f"{where}: {damage}")
            self.seen["damage refused"] += 1
            return
        self.seen["damage before the snapshot"] += 1
        check(engine.started_from, f"{where}: the start did not see it")
        check(engine.state.digest() == self.twin.state.digest(), f"{where}: the start came to another state")
        check(not verify(disk, empty_state).is_clean, f"{where}: not found by verify")
        engine.close()


class _Answered:
    """Answers that are there already, in the place of pending ones."""

    def __init__(self, answers: list[Any]) -> None:
        self._answers = answers

    def wait(self) -> list[Any]:
        return self._answers

    def ats_changes(self) -> None:
        return None


def ask_all_again(engine: Engine, first: dict[Key, tuple[Any, Any, int]]) -> None:
    """3 and 4: every key that was answered gets its first answer again, field by field, and nothing changes."""
    by_kind: dict[Any, list[Key]] = {}
    for key in first:
        by_kind.setdefault(key[0], []).append(key)
    commands, expected = [], []
    for kind, keys in by_kind.items():
        contents = [first[key][0] for key in keys]
        answers = [replace(first[key][1], again=True) for key in keys]
        if kind in ONE_BY_ONE:
            commands.append(kind(tuple(contents)))
            expected.append(answers)
        else:
            commands += contents
            expected += [[answer] for answer in answers]
    engine.submit([], 0).wait()  # what is due expires before anything is asked
    before = engine.state.sequence
    for command, answers in zip(commands, expected, strict=True):
        given = plain(engine.commit(columns(command, PLACES), 0))
        wrong = [(one, other) for one, other in zip(given, answers, strict=True) if one != other]
        check(not wrong, f"asked again: {wrong[:1]}")
    check(engine.state.sequence == before, "asking again had an effect")


@contextmanager
def little_ahead(size_bytes: int) -> Iterator[None]:
    """Let engines set little room aside, so that it runs out often; 32 MiB would only cost time here."""
    usual, writer.AHEAD_BYTES = writer.AHEAD_BYTES, size_bytes
    try:
        yield
    finally:
        writer.AHEAD_BYTES = usual


def simulate(seed: int, crashes: int) -> Counter[str]:
    """All of one seed; what came about. Broken, with the seed, where a promise was not kept."""
    life = 0
    try:
        with little_ahead(random.Random(seed).choice([4 << 10, 12 << 10, 32 << 10])):
            simulation = Simulation(seed, MortalDisk())
            simulation.open()
            while life < crashes:
                life += 1
                simulation.live()
            simulation.end()
    except Exception as error:
        what = f"seed {seed}, life {life}: {type(error).__name__}: {error}"
        raise Broken(f"{what}\nagain: ALLOT_SIM_SEED={seed} pytest tests/test_simulation.py") from error
    return simulation.seen


class Recording:
    """A trace of one life without a crash: every change of the disk, and after which of them each answer was given."""

    def __init__(self, seed: int, batches: int) -> None:
        self.digests = {0: empty_state().digest()}  # by sequence
        self.answered: dict[int, dict[Key, Any]] = {0: {}}
        self.disk = FakeDisk()
        with little_ahead(8 << 10):
            simulation = Simulation(seed, self.disk)
            simulation.settled = self._note
            simulation.open()
            for number in range(batches):
                simulation.take(simulation.clients.batch(simulation.twin.state.sequence))
                if number % 12 == 9:
                    simulation.snapshot(archive=number % 24 == 9)
            simulation.engine.close()
            simulation.twin.close()

    def _note(self, simulation: Simulation) -> None:
        sequence = simulation.twin.state.sequence
        self.digests[sequence] = simulation.twin.state.digest()
        self.answered[sequence] = dict(simulation.first)
        self.disk.note(ACKNOWLEDGED, sequence)

    def wrong_after(self, crash: Crash) -> str:
        """What is wrong after a crash at one point of the trace: 1 to 5. Empty where every promise was kept."""
        acknowledged = crash.notes[-1].arguments[0] if crash.notes else 0
        try:
            with little_ahead(8 << 10):
                engine = start(crash.disk)
                found = engine.state.sequence
                check(found in (acknowledged, acknowledged + 1), f"at {found}, {acknowledged} were acknowledged")
                check(engine.state.digest() == self.digests[found], "another digest than before the crash")
                verified = verify(crash.disk, empty_state)
                check(verified.is_clean, verified.faults)
                check(verified.digest == self.digests[found], "a replay comes to another digest")
                ask_all_again(engine, self.answered[found])
                engine.close()
        except Exception as error:
            where = f"steps {crash.steps}, {crash.survives}, sectors of {crash.sector_bytes}, seed {crash.seed}"
            return f"{where}: {type(error).__name__}: {error}"
        return ""
