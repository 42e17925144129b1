"""The `allot` command: which subcommands there are, and how errors become one line and an exit code."""

import _thread
import errno
import os
import sys
import threading
from typing import Any, NoReturn

import typer

from server.cli import (
    allocate,
    channel,
    channels,
    config,
    doctor,
    events,
    explain,
    export,
    import_report,
    load,
    local,
    node,
    order,
    paper,
    plan,
    promise,
    reconcile,
    relay,
    serve,
    snapshot,
    stock,
    token,
    verify,
    warm,
    watch,
    what_if,
    worker,
)
from server.cli.output import BAD_USAGE, FOUND_WRONG, INTERRUPTED

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
app.command("serve")(serve.serve)
app.command("relay")(relay.relay)
app.command("snapshot")(snapshot.snapshot)
app.command("warm")(warm.warm)
app.command("doctor")(doctor.doctor)
app.command("config")(config.config)
app.command("token")(token.token)
app.command("explain")(explain.explain)
for name, group in (("order", order), ("stock", stock), ("node", node), ("channel", channel)):
    app.add_typer(group.app, name=name)
app.command("promise")(promise.promise)
app.command("channels")(channels.channels)
app.command("watch")(watch.watch)
app.command("what-if")(what_if.what_if)
app.command("plan")(plan.plan)
app.command("events")(events.events)
app.command("load")(load.load)
app.command("reconcile")(reconcile.reconcile)
app.add_typer(paper.app, name="paper")
app.add_typer(worker.app, name="worker")
app.add_typer(local.app, name="local")


def main() -> NoReturn:
    """Entry point of the console script: `run`, and an end that no thread of a library outlives.

    One that Arrow reads a file ahead with may call back into an interpreter that is going away: that would abort.
    """
    code: Any = 0
    try:
        run()
    except SystemExit as end:
        code = end.code or 0
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            code = code or FOUND_WRONG
    os._exit(code if isinstance(code, int) else FOUND_WRONG)


def run() -> None:
    """One command, as `sys.argv` names it. Ends by SystemExit where it is not done."""
    before, sys.unraisablehook = sys.unraisablehook, _interrupted_in_a_callback
    try:
        _run()
    except (KeyboardInterrupt, SystemExit) as end:
        if isinstance(end, SystemExit) and end.code != INTERRUPTED:
            raise
        print("allot: interrupted; run it again: nothing is half done", file=sys.stderr)
        sys.exit(INTERRUPTED)
    finally:
        sys.unraisablehook = before


def _interrupted_in_a_callback(unraisable: Any) -> None:
    """Ctrl-C while compiled code is being loaded cannot be raised there: it would be printed and forgotten."""
    if isinstance(unraisable.exc_value, KeyboardInterrupt):
        threading.Timer(0.1, _thread.interrupt_main).start()
    else:
        sys.__unraisablehook__(unraisable)


def _run() -> None:
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
        mend = ": `allot doctor` says what there is" if error.errno == errno.ENOMEM else ""
        print(f"allot: {where}{error.strerror or error}{mend}", file=sys.stderr)
        sys.exit(FOUND_WRONG)
    except MemoryError as error:
        print(f"allot: not enough memory: `allot doctor` says what there is ({error})", file=sys.stderr)
        sys.exit(FOUND_WRONG)
    except UnicodeEncodeError as error:
        print(f"allot: {error.object!r} cannot be written as {error.encoding}: use UTF-8 names", file=sys.stderr)
        sys.exit(BAD_USAGE)


if __name__ == "__main__":
    main()
