"""The `allot` command as a user meets it, for tests: run here, run in a process of its own, or killed at a moment.

`run` catches what a command prints and its exit code; `run_without_privilege` meets files that must not be written;
`killed` ends one by SIGKILL where the journal or the decisions are being written.
"""

import contextlib
import io
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from server.cli.main import run as command

_KILLED = """
import os, signal, sys
from engine.disk import FolderDisk
from engine.intake.decisions import DecisionWriter
from engine.journal.segments import Journal
from server.cli.main import main

moment, sequence = sys.argv[1], int(sys.argv[2])
append, write = Journal.append, FolderDisk.write
dying = False

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def dying_write(disk, name, offset, buffers):
    if not dying:
        return write(disk, name, offset, buffers)
    data = b"".join(buffers)
    whole_sectors = (offset + len(data) // 2) // 512 * 512 - offset  # a kill in a write stops at whole pages
    write(disk, name, offset, [data[: max(0, whole_sectors)]])
    die()

def dying_append(journal, at, stamp, buffers):
    global dying
    if at == sequence and moment == "before":
        die()
    dying = at == sequence and moment == "torn"
    append(journal, at, stamp, buffers)
    if at == sequence:
        die()

Journal.append, FolderDisk.write = dying_append, dying_write
if moment == "writing":
    DecisionWriter.append = die
sys.argv = ["allot", *sys.argv[3:]]
main()
"""

_WITHOUT_PRIVILEGE = """
import ctypes, sys
from server.cli.main import main

version_3, this_process, none_at_all = (0x20080522).to_bytes(4, sys.byteorder), bytes(4), bytes(24)
assert ctypes.CDLL(None).capset(version_3 + this_process, none_at_all) == 0
sys.argv = ["allot", *sys.argv[1:]]
main()
"""


class Outcome(NamedTuple):
    """What a command left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def run(*arguments: object) -> Outcome:
    """One command, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["allot", *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            command()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    return Outcome(code, out.getvalue(), err.getvalue())


def spawn(*arguments: object) -> "subprocess.Popen[str]":
    """One command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "server.cli.main", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def run_without_privilege(*arguments: object) -> Outcome:
    """One command in a process of its own that has no capability: permissions of files bind it, the superuser's too."""
    ended = subprocess.run(
        [sys.executable, "-c", _WITHOUT_PRIVILEGE, *map(str, arguments)], capture_output=True, text=True
    )
    return Outcome(ended.returncode, ended.stdout, ended.stderr)


def killed(moment: str, sequence: int, *arguments: object) -> None:
    """One command in a process of its own, which ends by SIGKILL.

    moment: "before" the record of this sequence is written, with half of its sectors written ("torn"), "after" it is
    durable, or when all is decided and the decisions are to be written ("writing").
    """
    ended = subprocess.run(
        [sys.executable, "-c", _KILLED, moment, str(sequence), *map(str, arguments)], capture_output=True, text=True
    )
    assert ended.returncode == -signal.SIGKILL, (moment, sequence, ended)


def write_csv(path: Path, header: str, rows: Any) -> Path:
    """A CSV file of rows whose cells need no quotes."""
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path
