"""Faults around a data folder: in use, from a newer version, read-only, a file in its place, torn, damaged, incomplete,
full, and killed again and again. Each has its one line and exit code, and nothing that was acknowledged is lost."""

import contextlib
import errno
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from engine import schema
from engine.apply import StateDiverged, apply_record
from engine.columns import Limits
from engine.commands import PutFences, PutNames
from engine.folder import DataFolder
from engine.journal import JournalError
from engine.journal.memory import MemoryJournal
from engine.journal.segments import Journal
from engine.outcomes import Namespace, OutOfRoom
from engine.snapshot import start_state
from engine.state import State
from engine.writer import Engine, EngineFailed
from tests.command_line import killed, run, run_without_privilege, spawn, write_csv
from tests.fake_disk import FakeDisk

ROUNDS = 8  # of kills
ORDERS = 20_000  # two batches
SKUS, NODES = 500, 12


def write_files(folder: Path, orders: int) -> list[object]:
    """Generated files, scarce stock; the arguments of the job over them, without --data and --decisions."""
    draw = np.random.default_rng(7)
    nodes = [(f"N{node}", 10 + node, 70 + node % 5) for node in range(NODES)]
    stock = [(f"S{sku}", f"N{node}", int(units)) for (sku, node), units
             in np.ndenumerate(draw.integers(0, max(2, orders // 3000), (SKUS, NODES)))]  # fmt: skip
    places = [(f"{560000 + code}", 8 + code * 0.2, 72 + code % 7) for code in range(100)]
    drawn = zip(draw.integers(0, 100, orders), draw.integers(0, SKUS, orders), draw.integers(1, 5, orders), strict=True)
    rows = [(f"O{i}", f"{560000 + code}", f"S{sku}", quantity) for i, (code, sku, quantity) in enumerate(drawn)]
    return [
        "allocate", "--json",
        "--orders", write_csv(folder / "orders.csv", "order_id,postal_code,sku,quantity", rows),
        "--nodes", write_csv(folder / "nodes.csv", "node_id,latitude,longitude", nodes),
        "--stock", write_csv(folder / "stock.csv", "sku,node_id,on_hand", stock),
        "--postal-codes", write_csv(folder / "places.csv", "postal_code,latitude,longitude", places),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files, their decisions, and a data folder that has decided them."""
    folder = tmp_path_factory.mktemp("made")
    job = write_files(folder, 400)
    found = run(*job, "--decisions", folder / "decisions.csv", "--data", folder / "data")
    assert found.code == 0, found
    return folder


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    """A copy of that data folder, to be spoilt."""
    return shutil.copytree(made / "data", tmp_path / "data")


def again(made: Path, data: Path) -> list[object]:
    """The job of `made` once more, over another data folder."""
    files = [("--orders", "orders.csv"), ("--nodes", "nodes.csv"), ("--stock", "stock.csv"),
             ("--postal-codes", "places.csv")]  # fmt: skip
    named = [part for option, file in files for part in (option, made / file)]
    return ["allocate", "--json", *named, "--decisions", data.parent / "decisions.csv", "--data", data]


def only_segment(data: Path) -> Path:
    (segment,) = data.glob("*.seg")
    return segment


def records_of(data: Path) -> list[tuple[int, int]]:
    """Offset and end of each record, found by the headers' magic."""
    content = only_segment(data).read_bytes()
    starts, at = [], content.find(b"aRec")
    while at >= 0:
        starts.append(at)
        at = content.find(b"aRec", at + 64)
    end = len(content.rstrip(b"\0"))
    return list(zip(starts, [*starts[1:], end], strict=True))


def refused(found, code: int, *words: str) -> None:
    """One line on stderr with these words, nothing on stdout."""
    assert (found.code, found.out) == (code, ""), found
    assert found.err.count("\n") == 1, found.err
    assert [word for word in words if word not in found.err] == []


def test_a_folder_in_use_by_another_process_is_refused_and_verified_beside_it(made: Path, data: Path):
    with open(data / "LOCK") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused(run(*again(made, data)), 1, "in use by another process")
        refused(run("snapshot", "--data", data), 1, "in use by another process")
        assert run("verify", "--data", data).code == 0
        looked_at = {finding["what"]: finding for finding in run("doctor", "--data", data, "--json").json["findings"]}
        assert looked_at["in use"]["found"] == "yes, by another process"
    assert not (data.parent / "decisions.csv").exists()
    assert run(*again(made, data)).json["changed"] is False


def test_a_folder_from_a_newer_version_is_refused_by_its_number(made: Path, data: Path):
    identity = json.loads((data / "allot.json").read_text())
    (data / "allot.json").write_text(json.dumps(identity | {"format": 2}))
    for command in (again(made, data), ("verify", "--data", data), ("export", "--data", data, "--out", data / "x")):
        refused(run(*command), 1, "format 2", "newer program")


SECRET = f'{{"format": 1, "secret": "{"00" * 32}"'


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"format": 1}', '{"format": 1, "secret": "zz"}', '{"format": 1, "secret": "0000000000000000"}',
     SECRET + "}", SECRET + ', "limits": null}', SECRET + ', "limits": {"x": 1}}',
     SECRET + ', "limits": {"skus_max": "1"}}', '{"format": null}'],
)  # fmt: skip
def test_a_damaged_identity_is_refused(made: Path, data: Path, content: str):
    (data / "allot.json").write_text(content)
    refused(run(*again(made, data)), 1, "allot.json", "damaged")


@pytest.mark.parametrize(
    ("field", "value", "mend"),
    [("cell", 40_000, "from 0 to 32767"), ("cell", -1, "from 0 to 32767"), ("skus_max", 0, "from 1 to 2147483647"),
     ("orders_max", 1 << 70, "from 1 to 2147483647"), ("channels_max", 40_000, "from 1 to 32768"),
     ("commit_orders_max", (1 << 20) + 1, "from 1 to 1048576")],
)  # fmt: skip
def test_a_limit_out_of_its_range_is_refused_with_the_range(made: Path, data: Path, field: str, value: int, mend: str):
    set_limit(data, field, value)
    for command in (again(made, data), ("verify", "--data", data)):
        refused(run(*command), 1, "allot.json", f"{field} is {value}", mend)


@pytest.mark.parametrize("field", ["skus_max", "postal_codes_max", "orders_max", "lines_max", "parts_max", "keys_max"])
def test_a_limit_below_what_the_snapshot_holds_is_refused_with_what_it_needs(made: Path, data: Path, field: str):
    run("snapshot", "--data", data)
    set_limit(data, field, 1)
    refused(run(*again(made, data)), 1, f"{field} is 1", "snapshot-", "or more in allot.json")


@pytest.mark.parametrize("field", ["skus_max", "postal_codes_max", "orders_max", "lines_max", "parts_max", "keys_max"])
def test_a_limit_below_what_the_journal_holds_is_refused_and_no_memory_is_written_beyond_it(
    made: Path, data: Path, field: str
):
    set_limit(data, field, 2)
    for command in (("verify", "--data", data), again(made, data)):
        found = spawn(*command)  # in a process of its own: it was ended by a signal
        error = found.communicate()[1]
        assert (found.returncode, error.count("\n")) == (1, 1), error
        assert f"{field} is 2" in error
        assert "raise the limit" in error


def set_limit(data: Path, field: str, value: int) -> None:
    identity = json.loads((data / "allot.json").read_text())
    identity["limits"][field] = value
    (data / "allot.json").write_text(json.dumps(identity))


def test_a_read_only_folder_is_refused_for_writing_and_verified_and_exported(made: Path, data: Path):
    for path in data.rglob("*"):
        path.chmod(0o400)
    data.chmod(0o500)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in data.rglob("*")}
    for command in (again(made, data), ("snapshot", "--data", data)):
        refused(run_without_privilege(*command), 1, str(data), "Permission denied", "must be writable")
    inside = [*again(made, data)[:-1], data / "new"]
    refused(run_without_privilege(*inside), 1, str(data / "new"), "cannot be made: Permission denied")
    assert not (data.parent / "decisions.csv").exists()
    assert run_without_privilege("verify", "--data", data, "--json").json["clean"] is True
    out = data.parent / "tables"
    assert run_without_privilege("export", "--data", data, "--out", out).code == 0
    assert list(out.iterdir()) != []
    found = run_without_privilege("doctor", "--data", data, "--json")
    assert [finding["what"] for finding in found.json["findings"] if not finding["ok"]] == ["writable"]
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in data.rglob("*")} == before


def test_a_file_in_place_of_the_folder_is_refused_and_left_alone(made: Path, tmp_path: Path):
    file = tmp_path / "data"
    file.write_text("mine\n")
    found = run(*again(made, file))
    assert found.code in (1, 2)
    refused(found, found.code, str(file))
    refused(run("verify", "--data", file), 1, str(file))
    assert file.read_text() == "mine\n"


def test_a_folder_whose_making_was_killed_is_made_again(made: Path, tmp_path: Path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "allot.json.new").write_text("{")
    assert run(*again(made, data)).code == 0
    assert run("verify", "--data", data).code == 0
    assert (tmp_path / "decisions.csv").read_bytes() == (made / "decisions.csv").read_bytes()


_SLOW_TO_MAKE = """
import os, sys, time
from pathlib import Path
from server.cli.main import run

data, replace = Path(sys.argv[1]), os.replace

def slowly(source, target):
    print("making", flush=True)
    sys.stdin.readline()
    replace(source, target)

os.replace = slowly
sys.argv = ["allot", *sys.argv[2:]]
run()
"""


def test_a_second_first_run_is_refused_while_the_first_makes_the_folder_and_the_secret_stays(
    made: Path, tmp_path: Path
):
    data, job = tmp_path / "data", again(made, tmp_path / "data")
    first = subprocess.Popen(
        [sys.executable, "-c", _SLOW_TO_MAKE, str(data), *map(str, job)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert first.stdout is not None
    assert first.stdout.readline() == "making\n"
    job[job.index("--decisions") + 1] = tmp_path / "second.csv"
    refused(run(*job), 1, "in use by another process")
    first.communicate("go on\n")
    assert first.returncode == 0
    secret = (data / "allot.json").read_bytes()
    second = run(*job)
    assert (second.code, second.json["changed"], second.json["repeated_orders"]) == (0, False, second.json["orders"])
    assert (data / "allot.json").read_bytes() == secret


def test_a_folder_that_another_process_has_made_meanwhile_keeps_its_secret(tmp_path: Path):
    first = DataFolder.create(tmp_path / "data", bytes(range(32)))
    second = DataFolder.create(tmp_path / "data", bytes(32))
    assert second.secret.tobytes() == first.secret.tobytes() == bytes(range(32))


def test_first_runs_at_once_end_with_every_order_decided_once(made: Path, tmp_path: Path):
    data = tmp_path / "data"
    jobs = [again(made, data) for _ in range(3)]
    for number, job in enumerate(jobs):
        job[job.index("--decisions") + 1] = tmp_path / f"decisions {number}.csv"
    processes = [spawn(*job) for job in jobs]
    ended = [(process.communicate()[1], process.returncode) for process in processes]
    assert 0 in [code for _, code in ended]
    assert [error for error, code in ended if code and "in use by another process" not in error] == []
    assert run(*jobs[0]).json["changed"] is False
    assert run("verify", "--data", data, "--json").json["orders"] == 400


def test_the_name_of_a_new_folder_is_made_durable_in_each_folder_above_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    synced, sync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (synced.append(os.fstat(file).st_ino), sync(file)))
    data = tmp_path / "a" / "b" / "data"
    DataFolder.create(data, bytes(32)).close()
    assert {path.stat().st_ino for path in (tmp_path, data.parent.parent, data.parent, data)} <= set(synced)


def test_somebody_elses_folder_is_refused_and_left_alone(made: Path, tmp_path: Path):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "holiday.jpg").write_text("mine\n")
    refused(run(*again(made, folder)), 2, "not empty")
    assert [path.name for path in folder.iterdir()] == ["holiday.jpg"]


def test_a_torn_tail_is_reported_by_verify_and_cut_off_at_the_next_start(made: Path, data: Path):
    start, end = records_of(data)[-1]
    tear = (start + 64 + (end - start) // 2) // 512 * 512
    assert start + 64 < tear < end - 512, "the last record has whole sectors to lose"
    with open(only_segment(data), "r+b") as file:
        file.seek(tear)
        file.write(bytes(end - tear))
    torn = run("verify", "--data", data, "--json")
    assert (torn.code, torn.json["clean"]) == (0, True)
    assert only_segment(data).name in torn.json["cut_off"]
    found = run(*again(made, data))
    assert (found.code, found.json["changed"]) == (0, True)
    assert (data.parent / "decisions.csv").read_bytes() == (made / "decisions.csv").read_bytes()
    mended = run("verify", "--data", data, "--json")
    assert (mended.code, mended.json["cut_off"]) == (0, "")


@pytest.mark.parametrize("record", [0, 3, -1], ids=["the first", "one in the middle", "the last"])
def test_a_flipped_byte_is_refused_with_its_place_and_never_repaired(made: Path, data: Path, record: int):
    start, end = records_of(data)[record]
    content = bytearray(only_segment(data).read_bytes())
    content[(start + 64 + end) // 2] ^= 0x20
    only_segment(data).write_bytes(content)
    refused(run(*again(made, data)), 1, only_segment(data).name, f"byte {start}")
    found = run("verify", "--data", data, "--json")
    assert (found.code, found.json["clean"]) == (1, False)
    assert any(f"byte {start}" in fault for fault in found.json["faults"])
    assert run("doctor", "--data", data).code == 1
    assert only_segment(data).read_bytes() == content


@pytest.mark.parametrize(
    ("gone", "place"), [(0, "sequence 1 "), (1, "a segment is missing"), (2, "missing at its end")]
)
def test_a_missing_segment_is_refused_with_the_place(made: Path, data: Path, gone: int, place: str):
    job = again(made, data)
    orders = data.parent / "more.csv"
    job[job.index("--orders") + 1] = orders
    for name in ("A", "B"):
        run("snapshot", "--data", data)  # seals the segment before
        orders.write_text(f"order_id,postal_code,sku,quantity\n{name},560001,S1,1\n")
        assert run(*job).code == 0
    if gone < 2:
        for snapshot in data.glob("snapshot*"):
            snapshot.unlink()
    else:
        run("snapshot", "--data", data)  # nothing but a newer snapshot gives the loss of the end away
    segments = sorted(data.glob("*.seg"))
    segments[gone].unlink()
    refused(run(*job), 1)
    verified = run("verify", "--data", data, "--json")
    assert verified.code == 1
    assert any(place in fault for fault in verified.json["faults"]), verified.json


def test_doctor_does_not_keep_an_engine_from_starting(made: Path, data: Path, monkeypatch: pytest.MonkeyPatch):
    opened, folder = [], DataFolder.open(data)

    def start_beside(*arguments: object, **named: object) -> Journal:
        folder.lock()  # as an engine does that starts while doctor looks
        opened.append(folder)
        return journal_open(*arguments, **named)

    journal_open = Journal.open
    monkeypatch.setattr(Journal, "open", start_beside)
    assert run("doctor", "--data", data).code == 0
    assert opened == [folder]
    folder.close()


def test_a_damaged_snapshot_is_refused_with_what_to_do_about_it(made: Path, data: Path):
    def damage() -> str:
        last = sorted(data.glob("snapshot*"))[-1]
        content = bytearray(last.read_bytes())
        content[len(content) // 2] ^= 1
        last.write_bytes(content)
        return last.name

    def with_another_order(name: str) -> None:
        (data.parent / "more.csv").write_text(f"order_id,postal_code,sku,quantity\n{name},560001,S1,1\n")
        assert run(*job).code == 0
        assert run("snapshot", "--data", data).code == 0

    job = again(made, data)
    job[job.index("--orders") + 1] = data.parent / "more.csv"
    with_another_order("A")
    alone = damage()
    refused(run(*job), 1, alone, "checksum", "remove the file: the journal has it all")
    (data / alone).unlink()
    with_another_order("B")
    kept = next(data.glob("snapshot*")).name
    with_another_order("C")
    second = damage()
    refused(run(*job), 1, second, f"remove the file: {kept} and the journal have it all")
    (data / kept).unlink()
    assert run("verify", "--data", data).code == 1
    sorted(data.glob("*.seg"))[0].rename(data.parent / "moved away.seg")
    refused(run(*job), 1, second, "restore the folder from a backup")


def names(at: int, count: int) -> PutNames:
    return PutNames(f"names {at}", Namespace.SKU, pa.array([f"sku {at} {i} " + "x" * 50 for i in range(count)]))


def test_a_full_disk_refuses_new_work_keeps_what_was_taken_and_goes_on_when_there_is_room():
    disk = FakeDisk(capacity_bytes=70 << 20)
    limits, secret = Limits(), np.arange(4, dtype=np.uint64)
    engine = Engine(State(secret, limits), Journal.open(disk), publish=False)
    with contextlib.suppress(JournalError):
        for taken in range(100):
            engine.commit(names(taken, 100_000), taken)
    assert 1 < taken < 20
    digest = engine.state.digest()
    with pytest.raises(JournalError):
        engine.commit(names(taken, 100_000), taken)
    assert engine.state.digest() == digest  # reads are served, and nothing was half taken
    disk.capacity_bytes = None
    engine.commit(names(taken, 100_000), taken)
    digest = engine.state.digest()
    engine.close()
    started = State(secret, limits)
    start_state(disk, Journal.open(disk), started)
    assert (started.sequence, started.digest()) == (taken + 1, digest)


@contextlib.contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Callable[[int], object]]:
    """A file system of that size at a new folder; gives what makes it larger. Skips the test where none can be had."""

    def mount(option: str, size: int) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", f"{option}size={size}", "tmpfs", str(folder)]
        return shutil.which("mount") is not None and subprocess.run(command, capture_output=True).returncode == 0

    folder.mkdir()
    if not mount("", size_bytes):
        pytest.skip("no file system can be mounted here")
    try:
        yield lambda size: mount("remount,", size)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize(("size_bytes", "decided"), [(1 << 20, False), (420 << 10, True)], ids=["at once", "half way"])
def test_the_job_on_a_full_disk_ends_with_one_line_and_goes_on_where_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size_bytes: int, decided: bool
):
    job = write_files(tmp_path, 20_000)
    assert run(*job, "--decisions", tmp_path / "alone.csv").code == 0
    with small_disk(tmp_path / "disk", size_bytes) as enlarge:
        data, decisions = tmp_path / "disk" / "data", tmp_path / "decisions.csv"
        durable = [*job, "--decisions", decisions, "--data", data]
        with monkeypatch.context() as patch:
            if decided:  # room is set aside in small steps, so that it runs out half way
                patch.setattr("engine.writer.AHEAD_BYTES", 1 << 10)
                patch.setattr("engine.intake.job.BATCH_ORDERS", 100)
                patch.setattr(Journal, "open", partial(Journal.open, chunk_bytes=4 << 10))
            refused(run(*durable), 1, "no space for", "journal: free some on its disk")
        assert not decisions.exists()
        before = run("verify", "--data", data, "--json")
        assert (before.code, 0 < before.json["orders"] < 20_000) == (0, decided)
        assert enlarge(512 << 20)
        ended = run(*durable)
        assert (ended.code, ended.json["repeated_orders"]) == (0, before.json["orders"])
        assert decisions.read_bytes() == (tmp_path / "alone.csv").read_bytes()
        verified = run("verify", "--data", data, "--json")
        assert (verified.code, verified.json["orders"], verified.json["oversold_units"]) == (0, 20_000, 0)


@pytest.mark.parametrize("kind", ["write", "sync"])
def test_an_error_while_keeping_a_commit_ends_the_engine_and_loses_nothing_acknowledged(kind: str):
    disk = FakeDisk()
    secret = np.arange(4, dtype=np.uint64)
    engine = Engine(State(secret, Limits()), Journal.open(disk), publish=False)
    engine.commit(names(0, 10), 0)
    acknowledged = engine.state.digest()
    disk.fail(kind, errno.EIO)
    with pytest.raises(EngineFailed):
        engine.commit(names(1, 10), 1)
    with pytest.raises(EngineFailed):  # never retried
        engine.commit(names(1, 10), 1)
    after = disk.after_power_loss("durable")
    started = State(secret, Limits())
    start_state(after, Journal.open(after), started)
    assert (started.sequence, started.digest()) == (1, acknowledged)


def test_killed_again_and_again_the_job_ends_as_if_nobody_had_disturbed_it(tmp_path: Path):
    job = write_files(tmp_path, ORDERS)
    alone = run(*job, "--decisions", tmp_path / "alone.csv")
    assert alone.code == 0, alone
    assert 0 < alone.json["short_units"] < alone.json["units"]
    data, decisions = tmp_path / "data", tmp_path / "decisions.csv"
    durable = [*job, "--decisions", decisions, "--data", data]
    last = alone.json["sequence"]
    moments = [("torn", 1), ("after", 3), ("before", last - 2), ("after", last - 2), ("torn", last - 1)]
    for moment, sequence in moments:
        killed(moment, sequence, *durable)
        assert not decisions.exists()
    draw = np.random.default_rng(3)
    for _ in range(ROUNDS - len(moments)):
        process = spawn(*durable)
        time.sleep(draw.uniform(0.5, 2.0))
        process.kill()
        process.communicate()
        assert run("verify", "--data", data).code == 0
    ended = run(*durable)
    assert (ended.code, ended.json["sequence"]) == (0, last), ended
    assert decisions.read_bytes() == (tmp_path / "alone.csv").read_bytes()
    verified = run("verify", "--data", data, "--json")
    assert (verified.code, verified.json["oversold_units"], verified.json["orders"]) == (0, 0, ORDERS)


def test_a_batch_beyond_a_limit_is_refused_and_the_engine_goes_on_though_a_reservation_was_due(tmp_path: Path) -> None:
    DataFolder.create(tmp_path / "small", bytes(32), Limits(skus_max=2)).close()
    with Engine.open(tmp_path / "small", publish=False) as engine:
        engine.commit(PutNames("two", Namespace.SKU, pa.array(["A", "B"])), 1)
        with pytest.raises(OutOfRoom, match="skus_max is 2"):
            engine.submit(
                [
                    PutNames("word", Namespace.WORD, pa.array(["INR"])),
                    PutNames("third", Namespace.SKU, pa.array(["C"])),
                ],
                2,
            )
        assert engine.commit(PutNames("word", Namespace.WORD, pa.array(["INR"])), 3).quantity.tolist() == [1]


def test_more_payment_methods_than_an_order_can_name_are_refused_and_not_mixed_up() -> None:
    engine = Engine(State(np.arange(4, dtype=np.uint64), Limits()), Journal.open(FakeDisk()), publish=False)
    words = pa.array([f"word {i}" for i in range(1 << 15)])
    engine.commit(PutNames("all", Namespace.WORD, words), 1)
    engine.commit(PutNames("again", Namespace.WORD, words), 2)
    with pytest.raises(OutOfRoom, match="words_max"):
        engine.commit(PutNames("more", Namespace.WORD, pa.array(["one more"])), 3)
    engine.close()


def test_commands_that_fit_alone_and_not_together_are_refused_before_any_of_them_is_taken() -> None:
    def named(request: str, *texts: str, namespace: Namespace = Namespace.SKU) -> PutNames:
        return PutNames(request, namespace, pa.array(texts))

    def fenced(request: str, *sku: int) -> PutFences:
        zeros = np.zeros(len(sku), np.int16)
        return PutFences(request, zeros, np.array(sku, np.int32), zeros, np.ones(len(sku), np.int32))

    secret = np.arange(4, dtype=np.uint64)
    engine = Engine(State(secret, Limits(skus_max=3, fences_max=2)), MemoryJournal(), publish=False)
    engine.submit([named("one", "A"), named("same", "A", "B"), named("word", "B", namespace=Namespace.WORD)], 1).wait()
    digest = engine.state.digest()
    for field, batch in (
        ("skus_max is 3", [named("two", "A", "C"), named("three", "D")]),
        ("fences_max is 2", [fenced("two", 0, 1), fenced("three", 0)]),
    ):
        with pytest.raises(OutOfRoom, match=field):
            engine.submit(batch, 2)
        assert engine.state.digest() == digest
    assert engine.submit([named("two", "C"), named("three", "C")], 3).wait()[1].quantity.tolist() == [0]


def test_an_error_while_making_room_ends_the_engine():
    disk = FakeDisk()
    engine = Engine(State(np.arange(4, dtype=np.uint64), Limits()), Journal.open(disk), publish=False)
    disk.fail("create", errno.EIO)
    for _ in range(2):
        with pytest.raises(EngineFailed, match="what is durable is unknown"):
            engine.commit(names(0, 10), 0)


def test_a_record_whose_digest_replay_does_not_come_to_is_refused() -> None:
    state = State(np.arange(4, dtype=np.uint64), Limits())
    right, wrong = (np.array([digest], np.uint64) for digest in (0, 1))
    apply_record(state, 1, 1, [(schema.CHECK, {"digest": right})])
    with pytest.raises(StateDiverged, match="sequence 2"):
        apply_record(state, 2, 2, [(schema.CHECK, {"digest": wrong})])
