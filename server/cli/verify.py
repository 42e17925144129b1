"""`allot verify`: replay a data folder and check every invariant."""

from pathlib import Path
from typing import Annotated

import typer

from server.cli.output import DONE, FOUND_WRONG, bar, say, show_json, show_table


def verify(
    data: Annotated[Path, typer.Option(help="Data folder.")],
    from_snapshot: Annotated[
        bool, typer.Option("--from-snapshot", help="Start at the last snapshot instead of the first record.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check a data folder: checksums, replay, digest, conservation, oversell. Changes nothing; may run beside a writer.

    Example: allot verify --data /var/lib/allot
    """
    from engine.folder import DataFolder
    from engine.state import State
    from engine.verify import verify as check

    folder = DataFolder.open(data)
    with bar() as progress:
        progress.stage("replaying")
        result = check(folder.disk, lambda: State(folder.secret, folder.limits), from_snapshot, progress.to)
    folder.close()
    if json:
        show_json(result.as_dict())
    else:
        rows = [
            ("started from", result.started_from),
            ("records replayed", result.records),
            ("orders and reservations in them", result.orders),
            ("last sequence", result.last_sequence),
            ("snapshots compared", result.snapshots_checked),
            ("oversold units", result.oversold_units),
            ("digest", result.digest),
            ("torn at the end", result.cut_off or "nothing"),
            ("verdict", "clean" if result.is_clean else "FAULTS"),
        ]
        show_table(f"verify {data}", rows)
        for fault in result.faults:
            say(fault)
    raise typer.Exit(DONE if result.is_clean else FOUND_WRONG)
