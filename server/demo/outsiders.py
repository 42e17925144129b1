"""Those outside, for the demo: a gateway and two carriers of ours, and the workers that speak with them.

Each is a process of its own on a free port of the loopback, its log in a file.
"""

import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from server.demo.server import ALLOT, ENDS_WITHIN_SECONDS, ServerFailed
from server.local_redis import free_port

LISTENS_WITHIN_SECONDS = 60.0
CARRIERS = {"swift": 4_000, "thrift": 3_000}  # what a parcel of 500 g costs, paise; thrift collects no cash
_PAUSE_SECONDS = 0.05


@dataclass
class Outsiders:
    """Where they listen."""

    gateway: str
    carriers: dict[str, str]
    hooks: str


@contextmanager
def outsiders(folder: Path, server: str) -> Iterator[Outsiders]:
    """All of them for the length of a block, stopped however that ends. Raises ServerFailed."""
    folder.mkdir(parents=True, exist_ok=True)
    secret, ports = secrets.token_hex(16), [free_port() for _ in range(2 + len(CARRIERS))]
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    found = Outsiders(urls[0], dict(zip(CARRIERS, urls[2:], strict=True)), urls[1])
    file, secret_file = folder / "outside.toml", folder / "webhooks.secret"
    for path, content in ((file, _content(found, secret)), (secret_file, secret)):
        path.touch(0o600)
        path.write_text(content)
    listen, signs = [f"--listen=127.0.0.1:{port}" for port in ports], f"--secret-file={secret_file}"
    known = (f"--outside={file}", f"--server={server}")
    commands = [
        ["worker", "webhooks", *known, listen[1]],
        ["local", "gateway", signs, f"--webhook-url={found.hooks}/webhooks/local", listen[0]],
        *(
            ["local", "carrier", signs, f"--name={name}", f"--scans-url={found.hooks}/scans/{name}",
             "--step-ms=-1", f"--cost={CARRIERS[name]}", "--cash" if name == "swift" else "--no-cash", at]
            for name, at in zip(CARRIERS, listen[2:], strict=True)
        ),
        ["worker", "payments", *known, f"--cursors={folder / 'cursors'}"],
        ["worker", "carriers", *known, f"--cursors={folder / 'cursors'}"],
    ]  # fmt: skip
    running = [_start(command, folder / f"{command[0]}-{number}.log") for number, command in enumerate(commands)]
    try:
        for port in ports:
            _wait_until_listening(port, running)
        yield found
    finally:
        for process in running:
            process.send_signal(signal.SIGTERM)
        for process in running:
            try:
                process.wait(ENDS_WITHIN_SECONDS)
            except (subprocess.TimeoutExpired, KeyboardInterrupt):
                process.kill()


def _content(found: Outsiders, secret: str) -> str:
    lines = ["[gateways.local]", f'url = "{found.gateway}"', f'webhook_secret = "{secret}"']
    for name, url in found.carriers.items():
        lines += [f"[carriers.{name}]", 'kind = "local"', f'url = "{url}"', f'webhook_secret = "{secret}"']
    return "\n".join(lines) + "\n"


def _start(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as file:
        return subprocess.Popen(
            [*ALLOT, *command], stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, env=dict(os.environ),
            start_new_session=True,
        )  # fmt: skip


def _wait_until_listening(port: int, running: list[subprocess.Popen[bytes]]) -> None:
    ends = time.monotonic() + LISTENS_WITHIN_SECONDS
    while True:
        with socket.socket() as connection:
            if connection.connect_ex(("127.0.0.1", port)) == 0:
                return
        if any(process.poll() is not None for process in running) or time.monotonic() > ends:
            raise ServerFailed(f"one of those outside did not start on port {port}; see the logs beside the folder")
        time.sleep(_PAUSE_SECONDS)
