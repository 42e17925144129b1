"""`allot export`: the history of a data folder as Parquet files."""

from pathlib import Path
from typing import Annotated

import typer

from server.cli.output import bar, fail, show_json, show_table

WHAT = ("orders", "lines", "movements", "decisions", "supply", "promises", "steps", "postings")


def export(
    data: Annotated[Path, typer.Option(help="Data folder.")],
    out: Annotated[Path, typer.Option(help="Folder for the Parquet files.")],
    what: Annotated[str, typer.Option(help=f"Which of {','.join(WHAT)}.")] = ",".join(WHAT),
    json: Annotated[bool, typer.Option("--json", help="Print the rows of each file as JSON.")] = False,
) -> None:
    """Write what happened to Parquet, a file for each kind. Changes nothing; may run beside a writer.

    Example: allot export --data /var/lib/allot --out history
    """
    wanted = {name.strip() for name in what.split(",") if name.strip()}
    unknown = wanted - set(WHAT)
    if unknown or not wanted:
        fail(f"--what {what}: give some of {', '.join(WHAT)}")
    if out.exists() and (not out.is_dir() or (data.exists() and out.samefile(data))):
        fail(f"--out {out}: is {'the data folder itself' if out.is_dir() else 'a file'}: name a folder for the files")
    from engine.export import export as write
    from engine.folder import DataFolder
    from engine.journal.segments import Journal

    folder = DataFolder.open(data)
    with bar() as progress:
        progress.stage("exporting")
        rows = write(Journal.open(folder.disk, read_only=True), out, wanted, progress.to)
    folder.close()
    if json:
        show_json(rows)
    else:
        show_table(f"exported to {out}", list(rows.items()))
