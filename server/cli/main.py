"""The `allot` command: which subcommands there are, and how errors become one line and an exit code."""

import sys

import typer

from server.cli import allocate, doctor, export, import_report, snapshot, verify, warm
from server.cli.output import BAD_USAGE, FOUND_WRONG

app = typer.Typer(
    name="allot",
    help="Allocate orders to the nearest fulfilment nodes, durably. Exit codes: 0 done, 1 something was rejected or"
    " found wrong, 2 bad usage.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
imports = typer.Typer(
    help="Turn reports of marketplaces into orders files.", no_args_is_help=True, rich_markup_mode=None
)
app.command("allocate")(allocate.allocate)
imports.command("amazon-report")(import_report.amazon_report)
app.add_typer(imports, name="import")
app.command("verify")(verify.verify)
app.command("export")(export.export)
app.command("snapshot")(snapshot.snapshot)
app.command("warm")(warm.warm)
app.command("doctor")(doctor.doctor)


def run() -> None:
    """Entry point of the console script."""
    from engine.intake.tables import IntakeError
    from engine.journal import JournalError
    from engine.outcomes import EngineError

    try:
        app()
    except IntakeError as error:
        print(f"allot: {error}", file=sys.stderr)
        sys.exit(BAD_USAGE)
    except (EngineError, JournalError) as error:
        print(f"allot: {error}", file=sys.stderr)
        sys.exit(FOUND_WRONG)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"allot: {where}{error.strerror or error}", file=sys.stderr)
        sys.exit(FOUND_WRONG)


if __name__ == "__main__":
    run()
