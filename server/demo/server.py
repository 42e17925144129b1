"""The demo's own server: `allot serve` as a process of its own, on a free port of the loopback, its log in a file."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ENDS_WITHIN_SECONDS = 30
ALLOT = [sys.executable, "-m", "server.cli.main"]
_KEPT = ("ALLOT_KERNEL_CACHE",)  # of the shell's; settings of another server are not for this one


class ServerFailed(Exception):
    """The server ended by itself."""


class Server:
    """One running server."""

    def __init__(self, folder: Path, log: Path, *flags: str) -> None:
        self._log = log
        settings = {name: value for name, value in os.environ.items() if not name.startswith("ALLOT_") or name in _KEPT}
        with log.open("wb") as file:
            self._running = subprocess.Popen(
                [*ALLOT, "serve", "--announce", f"--data={folder}", "--listen=127.0.0.1:0", *flags],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=file, text=True,
                env=settings,
                start_new_session=True,  # Ctrl-C is for the demo, which then stops it
            )  # fmt: skip

    def wait_until_serving(self) -> str:
        """Its address. Raises ServerFailed."""
        assert self._running.stdout is not None
        for line in self._running.stdout:
            if line.startswith("serving on "):
                return line.removeprefix("serving on ").strip()
        raise ServerFailed(f"the server ended with {self._running.wait()}; its log: {self._log}")

    def stop(self) -> int:
        """As a supervisor stops it: what was begun is finished. Its exit code. A second Ctrl-C does not wait for it."""
        if self._running.poll() is None:
            self._running.send_signal(signal.SIGTERM)
        try:
            return self._running.wait(ENDS_WITHIN_SECONDS)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            self._running.kill()
            return self._running.wait()


@contextmanager
def running(folder: Path, log: Path, *flags: str) -> Iterator[Server]:
    """A server for the length of a block, stopped however that ends."""
    server = Server(folder, log, *flags)
    try:
        yield server
    finally:
        server.stop()
