"""`allot warm`: compile the kernels now, so that the first order does not wait for them."""

import os
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from graphlib import TopologicalSorter
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import typer

import kernels
from server.cli.output import Bar, bar, show_json, show_table


def warm(json: Annotated[bool, typer.Option("--json", help="Print the times as JSON.")] = False) -> None:
    """Compile every kernel, or load it where that has been done, and say how long each took.

    Example: allot warm
    """
    started = time.perf_counter()
    with bar() as progress:
        seconds = _compile_all(progress)
    total = round(time.perf_counter() - started, 2)
    if json:
        from kernels.options import cache_folder

        show_json({"kernels": seconds, "total_seconds": total, "cache": str(cache_folder())})
    else:
        show_table("kernels", [(name, f"{spent:.2f} s") for name, spent in seconds.items()] + [("total", f"{total} s")])


def _compile_all(progress: Bar) -> dict[str, float]:
    """Every module in a process of its own core, once those that it imports are there; seconds of each kernel."""
    modules = TopologicalSorter(_imported())
    modules.prepare()
    seconds: dict[str, float] = {}
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as cores:
        running: dict[Future[dict[str, float]], str] = {}
        progress.stage("compiling", len(_imported()))
        while modules.is_active():
            running |= {cores.submit(_compile, module): module for module in modules.get_ready()}
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                seconds |= done.result()
                modules.done(running.pop(done))
                progress.advance(1)
    return seconds


def _imported() -> dict[str, frozenset[str]]:
    """For each module of the kernels, the others that it imports."""
    from kernels.options import imported

    return {path.stem: imported(path.stem) for path in sorted(Path(kernels.__path__[0]).glob("[!_]*.py"))}


def _compile(module: str) -> dict[str, float]:
    """Seconds that each kernel of a module took."""
    import_module(f"kernels.{module}")
    from kernels.options import compiled_seconds

    of = f"kernels.{module}."
    return {name: round(spent, 3) for name, spent in compiled_seconds.items() if name.startswith(of)}
