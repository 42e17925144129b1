"""A surge meets the limits of the machine: memory and disk. New work is refused with its reason, reads are served,
nothing that was acknowledged is lost, and it goes on when there is room again."""

import mmap
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pyarrow as pa
import pytest

from allot_client import Client
from allot_client.errors import error_of
from benchmarks.service import metrics_at
from server import memory
from server.local_redis import free_port
from server.memory import LOOK_SECONDS, MEMORY_FULL, MemoryLimit, available_bytes, held_bytes, machine_bytes
from tests.abuse import batch, exchange, furnish, good, place
from tests.crash_clients import stream_of, verified
from tests.relays import wait_until
from tests.running import server as running_server
from tests.test_service_abuse import journal_bytes

BATCH = 16_000
ROOM_BYTES = 48 << 20
ABOVE_BYTES_MAX = 128 << 20  # beyond the limit: what was under way, and what columns take ahead; 60 batches are 240 MB


def batches(count: int, filler: str = "") -> Iterator[bytes]:
    for number in range(count):
        yield stream_of(batch([f"{number}-{order}{filler}" for order in range(BATCH)]))


def test_beyond_the_limit_no_order_is_taken_until_there_is_memory() -> None:
    now, taken = [0.0], [90]
    limit = MemoryLimit(100, lambda: taken[0], lambda: now[0])
    assert limit.refusal() is None
    taken[0] = 101
    assert limit.refusal() is None, "looked at a moment ago"
    now[0] += LOOK_SECONDS
    refusal = limit.refusal()
    assert refusal is not None
    assert (refusal.reason, refusal.code) == (MEMORY_FULL, grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert refusal.retry_after_ms > 0
    taken[0], now[0] = 100, now[0] + LOOK_SECONDS
    assert limit.refusal() is None


def test_memory_for_orders_to_come_counts_when_they_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "is_short", lambda: False)
    ahead = [60]
    limit = MemoryLimit(100, lambda: 150, iter(range(10)).__next__, lambda: ahead[0])
    assert limit.refusal() is None
    ahead[0] = 49
    assert limit.refusal() is not None


def test_memory_ahead_does_not_hide_that_the_machine_has_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "is_short", lambda: True)
    ahead = [60]
    limit = MemoryLimit(100, lambda: 90, iter(range(10)).__next__, lambda: ahead[0])
    refusal = limit.refusal()
    assert refusal is not None
    assert "memory_ahead_bytes" in refusal.message
    ahead[0] = 0
    assert limit.refusal() is None, "without memory ahead the limit is what counts"


@pytest.mark.parametrize("held", [50, 100])
def test_memory_is_taken_ahead_up_to_the_limit(monkeypatch: pytest.MonkeyPatch, held: int) -> None:
    taken: list[int] = []

    class Room:
        bytes_ahead = 0

        def take(self, size: int, goes_on: Callable[[], bool]) -> bool:
            while len(taken) < size and goes_on():
                taken.append(1)
            return len(taken) == size

    monkeypatch.setattr(memory, "step_back", lambda: None)
    monkeypatch.setattr(memory, "is_short", lambda share: False)
    monkeypatch.setattr(memory, "held_bytes", lambda: held + len(taken))
    ahead = memory.MemoryAhead(Room(), 60, MemoryLimit(100))
    ahead.start()
    ahead._thread.join()
    assert len(taken) == (50 if held == 50 else 0)


def test_memory_is_taken_ahead_of_a_surge(tmp_path: Path) -> None:
    size, metrics = 256 << 20, f"127.0.0.1:{free_port()}"
    flags = ("--no-views", "--no-snapshots", f"--memory-ahead-bytes={size}", f"--metrics-listen={metrics}")

    def ahead() -> float:
        (line,) = [line for line in metrics_at(metrics) if line.startswith("allot_memory_ahead_bytes ")]
        return float(line.split()[1])

    with running_server(tmp_path / "data", *flags) as server, grpc.insecure_channel(server.address) as channel:
        wait_until(lambda: ahead() > 0.85 * size, "memory is taken ahead")
        furnish(server.address)
        assert all(good(answer) for answer in exchange(channel, batches(20)))
        assert 0 < ahead() < 0.99 * size - 20 * BATCH * 60
    assert verified(tmp_path / "data").orders == 20 * BATCH


def test_pages_of_files_are_not_held(tmp_path: Path) -> None:
    size = 64 << 20
    with (tmp_path / "read").open("w+b") as file:
        file.truncate(size)
        before = held_bytes()
        with mmap.mmap(file.fileno(), size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE) as mapped:
            assert sum(mapped[:: mmap.PAGESIZE]) == 0
            assert held_bytes() < before + size // 2
            for at in range(0, size, mmap.PAGESIZE):
                mapped[at] = 1
            assert held_bytes() > before + size // 2


def test_a_control_group_counts_where_it_has_less_than_the_machine(tmp_path: Path) -> None:
    own = tmp_path / "own"
    whole = machine_bytes(tmp_path, own)
    assert whole > held_bytes() > 1 << 20
    for text, expected in (("max", whole), (str(1 << 30), min(whole, 1 << 30)), (str(1 << 62), whole)):
        (tmp_path / "memory.max").write_text(text)
        assert machine_bytes(tmp_path, own) == expected
    assert MemoryLimit(0).bytes_max == pytest.approx(0.8 * machine_bytes(), rel=1e-6)


@pytest.mark.parametrize(
    ("own", "where"),
    [
        ("0::/system.slice/allot.service\n", "system.slice/allot.service/memory.max"),
        ("0::/system.slice/allot.service\n", "system.slice/memory.max"),
        ("5:cpu:/x\n4:memory:/jobs/one\n0::/\n", "memory/jobs/one/memory.limit_in_bytes"),
        ("4:hugetlb,memory:/jobs/one\n", "memory/jobs/memory.limit_in_bytes"),
        ("4:memory:/outside/of/the/container\n", "memory/memory.limit_in_bytes"),
    ],
)
def test_the_limit_that_a_supervisor_sets_counts(tmp_path: Path, own: str, where: str) -> None:
    (tmp_path / "own").write_text(own)
    (tmp_path / where).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / where).write_text(str(256 << 20))
    assert machine_bytes(tmp_path, tmp_path / "own") == 256 << 20


def test_what_is_left_is_that_of_the_machine_or_of_a_control_group(tmp_path: Path) -> None:
    own, machine, missing = tmp_path / "own", tmp_path / "meminfo", tmp_path / "missing"
    machine.write_text("MemTotal: 99999999 kB\nMemAvailable:   1024 kB\n")
    assert available_bytes(tmp_path, missing, machine) == 1 << 20
    assert available_bytes(tmp_path, missing, missing) == machine_bytes(tmp_path, missing)
    group = tmp_path / "system.slice"
    group.mkdir()
    own.write_text("0::/system.slice\n")
    for name, text in (
        ("memory.max", "900000"),
        ("memory.current", "700000"),
        ("memory.stat", "inactive_file 50000\n"),
    ):
        (group / name).write_text(text)
    assert available_bytes(tmp_path, own, machine) == 250_000
    (group / "memory.max").write_text("max")
    assert available_bytes(tmp_path, own, machine) == 1 << 20


def test_memory_that_is_full_refuses_orders_and_nothing_else(tmp_path: Path) -> None:
    with running_server(tmp_path / "first", "--no-views", "--no-snapshots") as server:
        furnish(server.address)
        limit = held_bytes(str(server.process.pid)) + ROOM_BYTES
    flags = ("--no-views", "--no-snapshots", f"--memory-bytes-max={limit}")
    with running_server(tmp_path / "data", *flags) as server, grpc.insecure_channel(server.address) as channel:
        furnish(server.address)
        answers = exchange(channel, batches(60))
        taken = [answer for answer in answers if good(answer)]
        refused = [answer for answer in answers if not isinstance(answer, pa.Table)]
        assert len(taken) + len(refused) == 60
        assert taken
        assert {problem.reason for problem in refused} == {MEMORY_FULL}
        assert "memory_bytes_max" in refused[0].message
        assert held_bytes(str(server.process.pid)) < limit + ABOVE_BYTES_MAX
        (again,) = exchange(channel, batches(1))
        assert good(again), "what was acknowledged has its first answer"
        assert set(again["again"].to_pylist()) == {True}
        (mixed,) = exchange(channel, [stream_of(batch(["0-0", "new"]))])
        assert mixed.reason == MEMORY_FULL
        assert place(channel, "0-1").again
        with Client(server.address) as client:
            with pytest.raises(grpc.RpcError) as single:
                place(channel, "single")
            assert error_of(single.value).reason == MEMORY_FULL
            assert client.get_order("web", "0-0").number > 0
            assert client.get_availability("web", ["sku-1"]).figures[0].units == 1000
            client.cancel_order("web", "0-0", request_id="cancel")
            client.receive_stock([("sku-1", "B", 5)])
            assert client.get_availability("web", ["sku-1"]).figures[0].units == 1005
    assert verified(tmp_path / "data").orders == len(taken) * BATCH


def test_a_disk_that_fills_in_mid_surge_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    count, filler = 80, "-" + "x" * 50  # more than a piece of the journal holds that is set aside
    with running_server(tmp_path / "data", "--no-snapshots") as server:
        furnish(server.address)
        limit = journal_bytes(server.folder) + (1 << 20)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        with grpc.insecure_channel(server.address) as channel:
            answers = exchange(channel, batches(count, filler))
            full = [number for number, answer in enumerate(answers) if not good(answer)]
            assert 0 < len(full) < count
            assert {answers[number].reason for number in full} == {"DISK_FULL"}
            with Client(server.address) as client:
                assert client.get_order("web", f"0-0{filler}").number > 0
            verified(server.folder)
            resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
            again = exchange(channel, batches(count, filler))
            assert all(good(answer) for answer in again)
            for number, answer in enumerate(again):
                assert set(answer["again"].to_pylist()) == {number not in full}
    assert verified(tmp_path / "data").orders == count * BATCH


def test_batches_of_one_order_and_files_of_a_million(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", "--no-views", "--no-snapshots") as server:
        furnish(server.address)
        with grpc.insecure_channel(server.address) as channel:
            ones = exchange(channel, (stream_of(batch([f"one-{order}"])) for order in range(200)))
            assert all(good(answer) and answer.num_rows == 1 for answer in ones)
            (answer,) = exchange(channel, [stream_of(batch([f"x{order}" for order in range(16_385)]))])
            assert answer.reason == "BATCH_TOO_LARGE"
        million = 1_000_000
        table = pa.table(
            {
                "order_id": pa.array([f"m{order}" for order in range(million)]),
                "channel": pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int8()), million), ["web"]),
                "postal_code": pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int8()), million), ["400001"]),
                "sku": pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int8()), million), ["sku-0"]),
                "quantity": pa.repeat(pa.scalar(1, pa.int32()), million),
            }
        )
        with Client(server.address) as client:
            decided = client.allocate(table)
            assert decided.num_rows == million
            assert decided["reason"].null_count == million
            assert client.get_availability("web", ["sku-0"]).figures[0].units == 0
    assert verified(tmp_path / "data").orders == million + 200
