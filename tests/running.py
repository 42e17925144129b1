"""A real server: `allot serve` as a process of its own, on a port of the loopback that is free."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from server.local_redis import free_port

STARTS_WITHIN_SECONDS = 120  # with a compile
ENDS_WITHIN_SECONDS = 60


class Server:
    """One running server."""

    def __init__(
        self, folder: Path, *flags: str, environment: dict[str, str] | None = None, ready: bool = True
    ) -> None:
        """Start it, and wait until it serves (ready) or listens."""
        command = [sys.executable, "-m", "server.cli.main", "serve", "--announce", f"--data={folder}"]
        if not any(flag.startswith("--listen") for flag in flags):
            command.append(f"--listen=127.0.0.1:{free_port()}")  # none that the system gives away while it restarts
        self.folder = folder
        self.log: list[str] = []
        self.process = subprocess.Popen(
            [*command, *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=os.environ | (environment or {}),
        )  # fmt: skip
        self._reader = Thread(target=self._read_log, daemon=True)
        self._reader.start()
        self.address = self._announced("listening on ")
        if ready:
            self._announced("serving on ")

    def _announced(self, beginning: str) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(beginning):
                return line.removeprefix(beginning).strip()
        raise AssertionError(f"the server ended with {self.process.wait()}:\n{''.join(self.log)}")

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line)

    def kill(self) -> None:
        """As `kill -9`."""
        self.process.kill()
        self._wait()

    def _wait(self) -> int:
        code = self.process.wait(ENDS_WITHIN_SECONDS)
        self._reader.join()
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()
        return code

    def stop(self) -> int:
        """As a supervisor stops it; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self._wait()


@contextmanager
def server(folder: Path, *flags: str) -> Iterator[Server]:
    """A server for the length of a block; killed where a test fails."""
    running = Server(folder, *flags)
    try:
        yield running
        assert running.stop() == 0, "".join(running.log)
    finally:
        running.kill()
