"""Answers of the server for people and for programs: tables with a row each, and JSON with short names of enums."""

import sys
from datetime import UTC, datetime
from typing import Any

from google.protobuf.message import Message
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from allot.v1 import types_pb2
from allot_client.requests import enum_name
from server.cli.output import FOUND_WRONG, say, show_json

WIDTH = 200  # where it is no terminal


def as_dict(message: Message) -> dict[str, Any]:
    """A message as JSON has it: names of the contract, integers as integers; what is absent is left out."""
    found: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        if field.has_presence and not message.HasField(field.name):
            continue
        value = getattr(message, field.name)
        found[field.name] = [_plain(field, one) for one in value] if field.is_repeated else _plain(field, value)
    return found


def _plain(field: Any, value: Any) -> Any:
    if field.message_type is not None:
        return as_dict(value)
    if field.enum_type is not None:
        return enum_name(field.enum_type, value) if value else None
    return value


def show_rows(title: str, names: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    """A table with a header: figures right, the rest left. What is too wide is folded, never cut off."""
    say(title)
    table = Table(box=SIMPLE_HEAD)
    for place, name in enumerate(names):
        is_figure = any(isinstance(row[place], int) and not isinstance(row[place], bool) for row in rows)
        table.add_column(name, justify="right" if is_figure else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    Console(highlight=False, markup=False, emoji=False, width=width()).print(table)


def width() -> int:
    """Characters of a line of a table: the terminal's, or enough that the lines of a file are not folded."""
    return Console().width if sys.stdout.isatty() else WIDTH


def _cell(value: Any) -> Text:
    if isinstance(value, bool):
        return Text("yes" if value else "")
    return Text(f"{value:,}" if isinstance(value, int) else "" if value is None else str(value))


def short(enum: Any, number: int) -> str:
    """The name of a number of an enum; empty for unspecified."""
    return enum_name(enum.DESCRIPTOR, number) if number else ""


def show_decision(title: str, decision: types_pb2.Decision, json: bool) -> int:
    """What became of an order; gives the exit code."""
    refused = decision.outcome == types_pb2.OUTCOME_REFUSED
    if json:
        show_json(as_dict(decision))
    else:
        again = ", decided before" if decision.again else ""
        number = f", number {decision.number}" if decision.number else ""
        outcome = short(types_pb2.Outcome, decision.outcome).lower()
        show_parts(f"{title}: {outcome}{number}{again}", decision.parts)
    return FOUND_WRONG if refused else 0


def show_parts(title: str, parts: Any) -> None:
    """Which node gives what."""
    if not parts:
        say(title)
        return
    rows = [
        (part.line, part.node_id or "-", short(types_pb2.Stage, part.stage).lower(), part.quantity,
         f"{part.distance_m / 1000:,.0f} km" if part.node_id else "-")
        for part in parts
    ]  # fmt: skip
    show_rows(title, ("line", "node", "stage", "units", "distance"), rows)


def show_expected(expected: Any) -> None:
    """What back-ordered units wait for."""
    rows = [(one.line, one.quantity, day(one.due_at_us), one.node_id, str(one.reference)) for one in expected]
    if rows:
        show_rows("expected", ("line", "units", "on", "node", "reference"), rows)


def day(moment: int) -> str:
    """A moment, UTC us: the day alone where it is a midnight."""
    at = datetime.fromtimestamp(moment / 1e6, UTC)
    return at.date().isoformat() if moment % 86_400_000_000 == 0 else at.isoformat(timespec="seconds")


def again(message: Any) -> str:
    """A remark on an answer that repeats an earlier one."""
    return "; done before, nothing was changed" if message.again else ""
