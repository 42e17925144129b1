"""A process beside the server, kept running: started again when it dies, later and later, and ended with the server.

It ends when its input ends, so it never outlives whoever started it.
"""

import contextlib
import json
import subprocess
import threading
import time
from collections.abc import Sequence
from typing import Any

import structlog

RESTART_SECONDS_MIN, RESTART_SECONDS_MAX = 1.0, 60.0
STOP_SECONDS_MAX = 5.0
_log = structlog.get_logger("beside")


class KeptProcess:
    """One of them. What it prints, a JSON object a line, is heard by `hear`."""

    def __init__(self, name: str, command: Sequence[str]) -> None:
        """name: what it does, for the log."""
        self._name, self._command = name, list(command)
        self._ends = threading.Event()
        self._child: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None
        self.starts = 0

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._keep_running, name=f"allot-{self._name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the process. Blocks for a moment."""
        self._ends.set()
        if self._thread is None:
            return
        self._thread.join(2 * STOP_SECONDS_MAX)
        if self._thread.is_alive() and self._child is not None:  # it does not even read
            self._child.kill()
            self._thread.join()

    @property
    def pid(self) -> int | None:
        """The process that runs, if one does."""
        child = self._child
        return child.pid if child is not None and child.poll() is None else None

    def hear(self, progress: dict[str, Any]) -> None:
        """Something that it printed, in a thread of its own."""

    def tell(self, child: "subprocess.Popen[str]") -> None:
        """Write what it should know, until its end or the server's, with waits on `self._ends`."""
        while not self._ends.wait(RESTART_SECONDS_MIN) and child.poll() is None:
            pass

    def progress(self) -> Any:
        """What has changed where it got on: then it is started again soon, as where it ran for long."""
        return None

    def _keep_running(self) -> None:
        wait = RESTART_SECONDS_MIN
        while not self._ends.is_set():
            before, began = self.progress(), time.monotonic()
            code = self._run()
            if self._ends.is_set():
                return
            got_on = before != self.progress() or time.monotonic() - began > RESTART_SECONDS_MAX
            wait = RESTART_SECONDS_MIN if got_on else min(2 * wait, RESTART_SECONDS_MAX)
            _log.warning(f"{self._name} has stopped", exit_code=code, starts_again_in_seconds=wait)
            self._ends.wait(wait)

    def _run(self) -> int:
        """One process, from its start to its end; its exit code."""
        child = self._child = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, process_group=0
        )  # a group of its own, so that no terminal ends it; not a session: Linux would give that half of the cores
        self.starts += 1
        reader = threading.Thread(target=self._read, args=(child,), name=f"allot-{self._name}-progress", daemon=True)
        reader.start()
        with contextlib.suppress(BrokenPipeError):
            self.tell(child)
        _close(child.stdin)
        try:
            code = child.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            child.kill()
            code = child.wait()
        reader.join()
        _close(child.stdout)
        return code

    def _read(self, child: "subprocess.Popen[str]") -> None:
        assert child.stdout is not None
        for line in child.stdout:
            self.hear(json.loads(line))


def _close(pipe: Any) -> None:
    """Close a pipe whose other end may be gone."""
    try:
        pipe.close()
    except BrokenPipeError:
        return
