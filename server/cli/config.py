"""`allot config`: each setting of the service, and where its value came from. Also what gives a command their flags."""

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from server.cli.output import fail, show_json
from server.config import DEFAULT, FIELDS, Settings, SettingsError, flag_of, load, meaning


def takes_settings(command: Callable[..., None]) -> Callable[..., None]:
    """A typer command whose first parameter is `settings: Settings` gets a flag for each setting, and --config.

    Faulty settings end the command before it begins, with a line for each fault.
    """

    def with_flags(config: Path | None = None, **given: Any) -> None:
        flags = {name: given.pop(name) for name in FIELDS}
        try:
            settings = load(flags, config, os.environ)
        except SettingsError as error:
            fail("\nallot: ".join(str(error).splitlines()))
        command(settings, **given)

    _, *own = inspect.signature(command, eval_str=True).parameters.values()
    parameters = [*own, _config_flag(), *map(_flag, FIELDS)]
    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
    with_flags.__name__, with_flags.__doc__ = command.__name__, command.__doc__
    with_flags.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_flags.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return with_flags


def _config_flag() -> inspect.Parameter:
    option = typer.Option("--config", help="TOML file of settings. [default: what ALLOT_CONFIG names]", metavar="FILE")
    return inspect.Parameter(
        "config", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[Path | None, option]
    )


def _flag(name: str) -> inspect.Parameter:
    """The flag of a setting. All but switches are texts here, so that a fault reads the same from every origin."""
    field, flag = FIELDS[name], flag_of(name)
    is_switch = field.annotation is bool
    default = "" if field.default in (None, "") else f" [default: {_text(field.default)}]"
    option = typer.Option(
        f"{flag}/--no-{flag[2:]}" if is_switch else flag,
        help=f"{meaning(name)}{default}",
        metavar=None if is_switch else _metavar(name),
    )
    kind: Any = bool | None if is_switch else str | None
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, option])


def _metavar(name: str) -> str:
    kind: Any = FIELDS[name].annotation
    return {int: "INTEGER", float: "SECONDS", str: "TEXT", Path | None: "PATH"}.get(kind, "WORD")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "" if value is None else str(value)


@takes_settings
def config(
    settings: Settings,
    json: Annotated[bool, typer.Option("--json", help="Print values and origins as JSON.")] = False,
) -> None:
    """Say what `allot serve` would run with: each setting, its value, and where that came from.

    A flag wins over an ALLOT_ variable (ALLOT_LISTEN), that over the file (listen = "..."), that over the default.

    Example: allot config --config allot.toml
    """
    rows = settings.rows()
    if json:
        show_json(
            {
                name: {"value": str(value) if isinstance(value, Path) else value, "origin": origin}
                for name, value, origin in rows
            }
        )
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("setting", "value", "from")
    for name, value, origin in rows:
        table.add_row(name, Text(_text(value)), Text(origin, style="dim" if origin == DEFAULT else "bold"))
    Console(highlight=False, markup=False, emoji=False).print(table)
