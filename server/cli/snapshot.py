"""`allot snapshot`: write a snapshot from sealed segments, so that the next start replays less."""

from pathlib import Path
from typing import Annotated

import typer

from server.cli.output import bar, say, show_json


def snapshot(
    data: Annotated[Path, typer.Option(help="Data folder.")],
    archive: Annotated[
        bool, typer.Option("--archive", help="Also move the sealed segments that the snapshot covers into archive/.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Write a snapshot of a data folder that no writer uses: seal the journal, replay what is new, keep the columns.

    Example: allot snapshot --data /var/lib/allot
    """
    from engine.folder import DataFolder
    from engine.journal.segments import Journal
    from engine.snapshot import build_snapshot
    from engine.state import State

    folder = DataFolder.open(data)
    folder.lock()
    try:
        journal = Journal.open(folder.disk)
        journal.seal()
        with bar() as progress:
            progress.stage("replaying")
            name = build_snapshot(folder.disk, journal, State(folder.secret, folder.limits), progress.to)
        moved = journal.archive(journal.sealed_up_to + 1) if archive else []
        journal.close()
    finally:
        folder.close()
    if json:
        show_json({"snapshot": name, "archived": moved})
    else:
        say(f"wrote {data / name}" if name else "nothing new since the last snapshot")
        for segment in moved:
            say(f"archived {segment}")
        if archive and not moved:
            say("archived nothing: the last segment stays, and no other is left to move")
