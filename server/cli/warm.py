"""`allot warm`: compile the kernels now, so that the first order does not wait for them."""

import time
from typing import Annotated

import typer

from server.cli.output import bar, show_json, show_table

MODULES = (
    "keys", "texts", "distance", "fences", "reasons", "nearest", "digest", "stages", "expiry", "availability", "audit",
    "messages", "publications", "publishing", "pricing", "moves", "repair", "cheapest", "forecast", "placing",
    "searching",
    "promise",
)  # fmt: skip


def warm(json: Annotated[bool, typer.Option("--json", help="Print the times as JSON.")] = False) -> None:
    """Compile every kernel, or load it where that has been done, and say how long each took.

    Example: allot warm
    """
    started = time.perf_counter()
    with bar() as progress:
        progress.stage("compiling", len(MODULES))
        from importlib import import_module

        for module in MODULES:
            import_module(f"kernels.{module}")
            progress.advance(1)
    from kernels.options import cache_folder, compiled_seconds

    seconds = {name: round(spent, 3) for name, spent in compiled_seconds.items()}
    total = round(time.perf_counter() - started, 2)
    if json:
        show_json({"kernels": seconds, "total_seconds": total, "cache": str(cache_folder())})
    else:
        show_table("kernels", [(name, f"{spent:.2f} s") for name, spent in seconds.items()] + [("total", f"{total} s")])
