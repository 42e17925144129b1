"""The writer: commands in, decided, journaled, answered. One thread decides; another makes the last commit durable
meanwhile.

Nobody is answered before their commit is durable. At most one record is unsynced in the journal, so a torn tail can be
told from damage. Any error after deciding is final: the engine refuses everything, and the process must end.
"""

import queue
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine import schema
from engine.acts import act_on, acted_parts_max
from engine.answers import FirstAnswers
from engine.availability import AtsChanges, Availability
from engine.catalogue import check_limits, put
from engine.columns import RoomAhead
from engine.commands import (
    ActOnUnits,
    Command,
    Confirm,
    Forget,
    MoveStock,
    PlaceOrders,
    Put,
    PutCategories,
    PutChannels,
    PutExceptions,
    PutFences,
    PutNames,
    PutNodes,
    PutPostalCodes,
    PutRegions,
    PutReturnPolicies,
    PutSupply,
    Reallocate,
    Reevaluate,
    Release,
    Reserve,
    Retire,
    TakeSteps,
)
from engine.commit import Commit
from engine.decide import confirm, confirmed_parts_max, place_orders, release
from engine.documents import follow_up, take
from engine.ending import expire_due
from engine.folder import DataFolder
from engine.journal import JournalFull
from engine.journal.records import decode, encode
from engine.journal.segments import Journal
from engine.outcomes import EngineError, Namespace, OutOfRoom
from engine.reallocation import reallocate, reallocated_parts_max
from engine.reevaluation import reevaluate
from engine.snapshot import start_state
from engine.state import State
from engine.stock import PARTS_OF_A_MOVE_MAX, lost_max, move_stock, serve_new_day, served_max, waiting_for
from engine.supply import BINDING_BYTES_MAX, bind_all, check_supply_room, put_supply, rebind
from engine.upkeep import forget, retire
from kernels.columns import Head
from kernels.expiry import count_due, take_due
from kernels.life import Step
from kernels.nearest import parts_max

AHEAD_BYTES = 32 << 20  # room kept reserved in the journal, so that most commits need not wait for it
COMMITS_AHEAD_MAX = 2  # one being synced, one decided behind it
REALLOCATED_BYTES_MAX = 4 << 20  # by one command: fifty moves of each of its orders
DUE_BYTES_MAX = 512  # of one order that nobody paid, or authorisation that ended
STEP_BYTES_MAX = 2048  # of one step, with those that follow from it
ITEM_BYTES_MAX = 256  # of units of one line that go into a shipment, or from stage to stage
PENDING_RECORDS_MAX = 8  # decided and kept readable while they become durable
_DECIDE: dict[Any, Callable[[Commit, Any], Any]] = {
    PlaceOrders: place_orders, Reserve: place_orders, Confirm: confirm, Release: release, ActOnUnits: act_on,
    TakeSteps: take, MoveStock: move_stock, PutSupply: put_supply, Reallocate: reallocate, Reevaluate: reevaluate,
    Retire: retire, Forget: forget, PutNames: put, PutNodes: put, PutPostalCodes: put, PutChannels: put,
    PutExceptions: put, PutFences: put, PutReturnPolicies: put, PutCategories: put, PutRegions: put,
}  # fmt: skip
_CHANGES_EVERY_SKU = (PutChannels, PutNodes)  # exceptions and ring-fences name theirs


class EngineFailed(EngineError):
    """The engine could not keep what it decided. Final: end the process and start again."""


class Pending:
    """Answers of one commit, given out once it is durable."""

    def __init__(self, engine: "Engine", sequence: int, answers: list[Any], changes: AtsChanges | None) -> None:
        self._engine = engine
        self.sequence = sequence  # the commit's own, or the last one where nothing had to be kept
        self._answers = answers
        self._changes = changes

    def wait(self) -> list[Any]:
        """The answers, one for each command, when they are durable. Raises EngineFailed."""
        self._engine.wait_durable(self.sequence)
        return self._answers

    def ats_changes(self) -> AtsChanges | None:
        """What channels may sell now, where it changed; durable as the answers are."""
        self._engine.wait_durable(self.sequence)
        return self._changes


class Engine:
    """One engine over one journal. All commands come through `submit` or `commit`, from one thread."""

    def __init__(self, state: State, journal: Any, folder: DataFolder | None = None, publish: bool = True) -> None:
        self.state = state
        self.journal = journal
        self.folder = folder
        self.started_from = ""
        bind_all(state)
        self.availability = Availability(state) if publish else None
        self.first_answers = FirstAnswers(self.tables_of, self._first_since)
        self._undurable: dict[int, Commit] = {}
        self._building: Commit | None = None
        self._promised = 0  # bytes of the journal's reservation that no commit has used, or may use
        self._durable = state.sequence
        self._failure: BaseException | None = None
        self._changed = threading.Condition()
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._syncer: threading.Thread | None = None
        self._room_ahead: RoomAhead | None = None

    @classmethod
    def open(cls, path: Path, progress: Callable[[int, int], None] | None = None, publish: bool = True) -> "Engine":
        """Take a data folder: lock, last snapshot, tail of the journal. FolderError, JournalError, StateDiverged."""
        folder = DataFolder.open(path)
        folder.lock()
        try:
            journal = Journal.open(folder.disk)
            state = State(folder.secret, folder.limits)
            started_from = start_state(folder.disk, journal, state, progress)
        except BaseException:
            folder.close()
            raise
        engine = cls(state, journal, folder, publish)
        engine.started_from = started_from
        return engine

    @property
    def durable_sequence(self) -> int:
        """The last commit that is durable."""
        return self._durable

    def commit(self, command: Command, stamp: int) -> Any:
        """One command, durable when this returns; its answers."""
        return self._run([command], stamp, pipelined=False).wait()[0]

    @property
    def next_due(self) -> int | None:
        """When a commit of no command may have something to do, UTC us: a reservation ends, or units wait and a node's
        day begins; None where neither is to come."""
        state = self.state
        due = [int(state.expiries.at[0])] if state.head(Head.EXPIRIES) else []
        if state.days.is_any and state.head(Head.WAITING_PARTS):
            due.append(state.days.next_begin())
        return min(due, default=None)

    def submit(self, commands: Sequence[Command], stamp: int, pipelined: bool = True) -> Pending:
        """Decide a batch of commands as one commit; it becomes durable while the next is decided.

        stamp: UTC us, never taken to go back. pipelined: without it, it is durable when this returns, which is quicker
        where no other batch waits. Raises OutOfRoom or JournalFull before anything is changed, EngineFailed where it is
        over.
        """
        return self._run(commands, stamp, pipelined)

    def _run(self, commands: Sequence[Command], stamp: int, pipelined: bool) -> Pending:
        if self._failure is not None:
            raise EngineFailed(f"the engine has failed: {self._failure}") from self._failure
        stamp = max(stamp, self.state.stamp)
        due = count_due(stamp, self.state.book, self.state.expiries)
        unasked = DUE_BYTES_MAX * due + 128 * self.state.head(Head.WAITING_PARTS)
        needed = unasked + self._told_bytes_max(commands) + sum(map(self._bytes_max, commands))
        self._make_room(needed)
        commit = Commit(self.state, self.state.sequence + 1, stamp, self.first_answers)
        self._building = commit
        try:
            answers = self._decide(commit, commands, due)
        except EngineError:
            if commit.is_empty:
                raise
            self._fail(EngineError("a batch was refused after part of it had been decided"))
            raise
        except BaseException as error:
            self._fail(error)
            raise
        finally:
            self._building = None
            if commit.is_empty:
                self.state.days.undo()
        if commit.is_empty:
            return Pending(self, self.state.sequence, answers, None)
        try:
            commit.check()
            self.state.sequence, self.state.stamp = commit.sequence, stamp
            changes = self._publish(commands)
            commit.bytes_promised = needed
            self._keep(commit, pipelined)
        except BaseException as error:  # the state is ahead of the journal
            self._fail(error)
            raise
        return Pending(self, commit.sequence, answers, changes)

    def _check_room(self, commands: Sequence[Command], due: int, begins: Any) -> None:
        """Raise OutOfRoom where the columns might not hold what is asked for: before anything is decided.

        due: entries of what ends. begins: bool [node], the nodes whose day begins.
        """
        orders = lines = keys = ends = documents = items = 0
        served = waiting_for(self.state, begins, whatever_is_there=due > 0)
        parts = served_max(self.state, served, 0)
        parts += PARTS_OF_A_MOVE_MAX * due
        for command in commands:
            if isinstance(command, PlaceOrders):
                orders += len(command.order_id)
                keys += len(command.order_id)
                lines += command.sku.size
                parts += parts_max(command.quantity, self.state.node_count)
            elif isinstance(command, Confirm):
                orders += len(command.order_id)
                keys += 2 * len(command.order_id)
                parts += confirmed_parts_max(self.state, command)
            elif isinstance(command, Release):
                keys += len(command.request_id)
            elif isinstance(command, ActOnUnits):
                keys += len(command.request_id)
                parts += acted_parts_max(self.state, command)
            elif isinstance(command, TakeSteps):
                keys += len(command.request_id) + 2 * command.step.size
                replaced = int((command.step == Step.INSPECT).sum())  # by orders of one line, at most
                orders, lines, keys = orders + replaced, lines + replaced, keys + replaced
                parts += (self.state.node_count + 1) * replaced
                if np.isin(command.step, (Step.INSPECT, Step.COME_HOME)).any():  # what comes back serves who waits
                    parts += PARTS_OF_A_MOVE_MAX * self.state.head(Head.WAITING_PARTS)
                ends += int((command.step == Step.AUTHORISE).sum())
                documents += command.step.size + 8
                items += int((command.step == Step.SEND).sum())
            elif isinstance(command, MoveStock):
                keys += 1
                units = int(np.abs(command.quantity.astype(np.int64)).sum())
                parts += PARTS_OF_A_MOVE_MAX * command.sku.size
                parts += served_max(self.state, command.sku, units, lost_max(self.state, command))
            elif isinstance(command, Reallocate):
                keys += 1
                parts += reallocated_parts_max(self.state, command)
            elif isinstance(command, PutSupply):
                keys += 1
            elif isinstance(command, Reevaluate):
                keys += 1
                parts += PARTS_OF_A_MOVE_MAX * command.line.size
            elif isinstance(command, Put):
                keys += 1
        if keys > (most := self.state.limits.commit_orders_max):
            raise OutOfRoom(f"commit_orders_max is {most}, {keys} orders and requests were given: give fewer at a time")
        check_limits(self.state, [command for command in commands if isinstance(command, Put)])
        self.state.promised_parts[0] = parts
        self.state.check_documents(documents, items)
        self.state.check_expiries(orders + ends)
        self.state.check_room(orders, lines, parts, keys)
        check_supply_room(self.state, [command for command in commands if isinstance(command, PutSupply)])

    def _decide(self, commit: Commit, commands: Sequence[Command], due: int) -> list[Any]:
        book = self.state.book
        begins = self.state.days.begin(commit.sequence, commit.stamp)
        self._check_room(commands, due, begins)
        if due:
            rows = np.empty(due, np.int32)
            expire_due(commit, rows[: take_due(commit.stamp, book, self.state.expiries, rows)])
        serve_new_day(commit, begins)
        answers = []
        for command in commands:
            if type(command) is TakeSteps:  # steps are decided upon what has followed from all before them
                follow_up(commit)
            answers.append(_DECIDE[type(command)](commit, command))
        follow_up(commit)
        if self.state.expected.is_used:
            rebind(commit)
        return answers

    def _publish(self, commands: Sequence[Command]) -> AtsChanges | None:
        if self.availability is None:
            self.state.take_changes()
            return None
        return self.availability.refresh(everything=any(isinstance(c, _CHANGES_EVERY_SKU) for c in commands))

    # Room in the journal

    def _bytes_max(self, command: Command) -> int:
        """What a command may add to a record: a generous guess, since a commit beyond it can only fail for good."""
        needed = (64 << 10) + 6 * sum([getattr(value, "nbytes", 0) for value in vars(command).values()])
        if isinstance(command, PlaceOrders):
            needed += 6 * sum(column.nbytes for column in command.options.values())
        elif isinstance(command, TakeSteps):
            needed += STEP_BYTES_MAX * command.step.size
            needed += ITEM_BYTES_MAX * command.step.size * self._parts_an_order
        elif isinstance(command, ActOnUnits):
            needed += (STEP_BYTES_MAX + ITEM_BYTES_MAX * self._parts_an_order) * len(command.request_id)
        elif isinstance(command, PutNodes):
            needed += 16 * len(command.node_id) * len(self.state.names[Namespace.POSTAL_CODE])
        elif isinstance(command, PutPostalCodes):
            needed += 16 * len(command.postal_code) * self.state.node_count
        elif isinstance(command, PutChannels) and command.closed.any():
            needed += 16 * self.state.fences_used  # they are set to 0
        elif isinstance(command, Reallocate):
            needed += REALLOCATED_BYTES_MAX
        elif isinstance(command, Retire):
            needed += 16 * self.state.head(Head.OPEN_ORDERS)
        return needed

    @property
    def _parts_an_order(self) -> int:
        """On the average, rounded up; a record that is larger is given room when it is written."""
        return 1 + self.state.head(Head.PARTS) // max(1, self.state.head(Head.ORDERS))

    def _told_bytes_max(self, commands: Sequence[Command]) -> int:
        """What a record may tell of promised dates."""
        expected, rows = self.state.expected, 0
        for command in commands:
            if type(command) is PutSupply:
                rows += command.sku.size
        if not rows and not expected.is_used:
            return 0
        rows += expected.rows + self.state.head(Head.WAITING_PARTS)
        rows += sum([command.sku.size for command in commands if isinstance(command, PlaceOrders)])
        return BINDING_BYTES_MAX * rows

    def _make_room(self, needed: int) -> None:
        if needed <= self._promised:
            return
        self.wait_durable(self.state.sequence)
        self._promised = 0
        room = max(needed, AHEAD_BYTES)
        try:
            self.journal.reserve(room)
        except JournalFull:
            raise
        except BaseException as error:
            self._fail(error)
            raise EngineFailed(f"the engine has failed: {error}") from error
        self._promised = room

    # Memory

    def room_ahead(self) -> RoomAhead:
        """Who takes the memory that columns grow into; begun by the first who asks. For one thread at a time."""
        self._room_ahead = self._room_ahead or RoomAhead(self.state.growing())
        return self._room_ahead

    @property
    def memory_ahead(self) -> int:
        """Bytes of memory that were taken for orders to come and that none uses yet."""
        room_ahead = self._room_ahead
        return room_ahead.bytes_ahead if room_ahead is not None else 0

    # Durability

    def _keep(self, commit: Commit, pipelined: bool) -> None:
        with self._changed:
            self._promised -= commit.bytes_promised
            self._undurable[commit.sequence] = commit
        if not pipelined and self._durable == commit.sequence - 1:
            self._append(commit)
            return
        if self._syncer is None:
            self._syncer = threading.Thread(target=self._sync, name="allot-journal", daemon=True)
            self._syncer.start()
            self.room_ahead()
        with self._changed:
            while commit.sequence - self._durable > COMMITS_AHEAD_MAX and self._failure is None:
                self._changed.wait()
        self._queue.put(commit)
        assert self._room_ahead is not None
        self._room_ahead.want(commit.orders_entered)

    def _sync(self) -> None:
        while (commit := self._queue.get()) is not None:
            if self._failure is None:
                self._append(commit)

    def _append(self, commit: Commit) -> None:
        try:
            buffers = encode(commit.tables)
            size = sum([buffer.nbytes if isinstance(buffer, np.ndarray) else len(buffer) for buffer in buffers])
            if size > self.journal.room:  # a count took more away than its rows let expect
                self.journal.reserve(size)
            room = self.journal.room
            self.journal.append(commit.sequence, commit.stamp, buffers)
            with self._changed:
                self._promised += commit.bytes_promised - (room - self.journal.room)  # before it is seen to be durable
                self._durable = commit.sequence
                for sequence in [s for s in self._undurable if s <= commit.sequence - PENDING_RECORDS_MAX]:
                    del self._undurable[sequence]
                self._changed.notify_all()
        except BaseException as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            self._failure = self._failure or error
            self._changed.notify_all()

    def wait_durable(self, sequence: int) -> None:
        """Return when the commit is durable. Raises EngineFailed where it will never be."""
        if self._durable >= sequence:
            return
        with self._changed:
            while self._durable < sequence and self._failure is None:
                self._changed.wait()
        if self._durable < sequence:
            raise EngineFailed(f"the engine has failed: {self._failure}") from self._failure

    def tables_of(self, sequence: int) -> list[tuple[schema.Table, Any]]:
        """The tables of a commit: being decided, not yet durable, or in the journal."""
        if self._building is not None and sequence == self._building.sequence:
            return self._building.tables
        pending = self._undurable.get(sequence)
        return pending.tables if pending is not None else decode(self.journal.record(sequence).body)

    def stamp_of(self, sequence: int) -> int:
        """When a commit was decided that is durable, or about to be; UTC us. JournalMissing where it is not here."""
        pending = self._undurable.get(sequence)
        return pending.stamp if pending is not None else int(self.journal.record(sequence).stamp)

    def _first_since(self, stamp: int) -> int:
        """The first commit with this stamp or a later one, in the journal or on its way there; else the next one."""
        sequence = int(self.journal.first_since(stamp))
        while (pending := self._undurable.get(sequence)) is not None and pending.stamp < stamp:
            sequence += 1
        return sequence

    def close(self) -> None:
        """Wait for what is under way, then let go of journal and folder."""
        if self._syncer is not None:
            self._queue.put(None)
            self._syncer.join()
            self._syncer = None
        if self._room_ahead is not None:
            self._room_ahead.close()
            self._room_ahead = None
        self.journal.close()
        if self.folder is not None:
            self.folder.close()

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
