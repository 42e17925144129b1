"""`allot doctor`: what is wrong with this machine, or with a data folder, and what to do about it."""

import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from server.cli.output import DONE, FOUND_WRONG, say, show_json

FREE_BYTES_MIN = 1 << 30
MEMORY_BYTES_MIN = 2 << 30
OPEN_FILES_MIN = 256


def doctor(
    data: Annotated[Path | None, typer.Option(help="Also look at this data folder.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Look at the machine and, with --data, at a data folder: each finding with its mend.

    Example: allot doctor --data /var/lib/allot
    """
    findings = _machine()
    if data is not None:
        findings += _folder(data)
    wrong = [finding for finding in findings if not finding["ok"]]
    if json:
        show_json({"findings": findings, "ok": not wrong})
    else:
        for finding in findings:
            say(f"{'ok   ' if finding['ok'] else 'WRONG'}  {finding['what']}: {finding['found']}")
            if not finding["ok"]:
                say(f"       mend: {finding['mend']}")
    raise typer.Exit(FOUND_WRONG if wrong else DONE)


def _finding(what: str, found: str, ok: bool, mend: str = "") -> dict[str, object]:
    return {"what": what, "found": found, "ok": ok, "mend": "" if ok else mend}


def _machine() -> list[dict[str, object]]:
    import resource

    from kernels.options import cache_folder

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    address = resource.getrlimit(resource.RLIMIT_AS)[0]
    cache = cache_folder()
    return [
        _finding("python", platform.python_version(), sys.version_info >= (3, 11), "use Python 3.11 or newer"),
        _finding(
            "processor",
            f"{platform.machine()}, {os.cpu_count()} cores",
            sys.byteorder == "little",
            "the journal is little-endian: use another machine",
        ),
        _finding("memory", f"{memory / 2**30:.1f} GiB", memory >= MEMORY_BYTES_MIN, "2 GiB is the least"),
        _finding(
            "address space",
            "unlimited" if address == resource.RLIM_INFINITY else f"{address} bytes",
            address == resource.RLIM_INFINITY,
            "ulimit -v unlimited: columns reserve address space for their limits",
        ),
        _finding(
            "open files", str(files), files >= OPEN_FILES_MIN or files == resource.RLIM_INFINITY, "ulimit -n 1024"
        ),
        _finding("compiled kernels", f"in {cache}" if cache.exists() else "none yet: the first run compiles", True),
    ]


def _folder(data: Path) -> list[dict[str, object]]:
    from engine.folder import DataFolder, FolderError
    from engine.journal import JournalError
    from engine.journal.segments import Journal
    from engine.snapshot import snapshots

    try:
        folder = DataFolder.open(data)
    except FolderError as error:
        return [
            _finding("data folder", str(error), False, "name a data folder, or let `allot allocate --data` make one")
        ]
    free, writable = shutil.disk_usage(data).free, os.access(data, os.W_OK)
    findings = [
        _finding("data folder", str(data), True),
        _finding(
            "writable",
            "yes" if writable else "no",
            writable,
            f"chown or chmod {data}, or mount its disk so that it can be written",
        ),
        _finding(
            "free space",
            f"{free / 2**30:.1f} GiB",
            free >= FREE_BYTES_MIN,
            "free some: the journal sets 64 MiB aside at a time",
        ),
    ]
    in_use = {True: "yes, by another process", False: "no", None: "cannot be told"}[folder.in_use()]
    findings.append(_finding("in use", in_use, True))
    try:
        journal = Journal.open(folder.disk, read_only=True)
        size = sum(segment.size_bytes for segment in journal.segments())
        found = f"{journal.next_sequence - 1} records in {len(journal.segments())} segments, {size / 2**20:.1f} MiB"
        findings.append(_finding("journal", found, True))
        if journal.cut_off is not None:
            findings.append(
                _finding("journal's end", "a torn write, never acknowledged; the next start cuts it off", True)
            )
        last = snapshots(folder.disk)
        at = last[-1][0] if last else 0
        findings.append(
            _finding(
                "snapshot",
                f"at sequence {at}, {journal.next_sequence - 1 - at} records to replay",
                at < journal.next_sequence,
                "records are missing at the journal's end: restore the folder from a backup",
            )
        )
    except JournalError as error:
        findings.append(
            _finding("journal", str(error), False, "restore the folder from a backup; `allot verify` says more")
        )
    folder.close()
    return findings
