"""Those outside, as processes of their own: a gateway, a carrier, the workers that speak with them, the webhooks."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import httpx

from server.local_redis import free_port

SETTLES_WITHIN_SECONDS = 30
SECRET = "what webhooks are signed with"


class Process:
    """One `allot` command that runs until it is stopped."""

    def __init__(self, *command: str) -> None:
        self.command = command
        self.process = subprocess.Popen(
            [sys.executable, "-m", "server.cli.main", *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True,
        )  # fmt: skip
        self.log: list[str] = []
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()
        until(lambda: self.log or self.process.poll() is not None, f"{command} starts")
        assert self.process.poll() is None, "".join(self.log)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.log.append(line)

    def kill(self) -> None:
        """As `kill -9`."""
        self.process.kill()
        self._end()

    def stop(self) -> None:
        """As a supervisor does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self._end()

    def _end(self) -> None:
        self.process.wait(30)
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()


class Outside:
    """A local gateway, two local carriers, webhooks, and both workers, around a running server."""

    def __init__(self, server: str, folder: Path) -> None:
        self._server, self.folder = server, folder
        folder.mkdir(exist_ok=True)
        self.urls = {
            name: f"http://127.0.0.1:{free_port()}"
            for name in ("local", "razorpay", "nobody", "swift", "thrift", "hooks")
        }
        self.file, self._secret_file = folder / "outside.toml", folder / "secret"
        for path, content in ((self.file, self._content()), (self._secret_file, SECRET)):
            path.touch(0o600)
            path.write_text(content)
        self.hooks = self._web("hooks", "worker", "webhooks", f"--outside={self.file}", f"--server={server}")
        self.gateway, self.second = self._gateway("local"), self._gateway("razorpay")
        self.carriers = [self._carrier("swift"), self._carrier("thrift", "--no-cash", "--cost=3000")]
        self.workers = {name: self._worker(name) for name in ("payments", "carriers")}
        self.http = httpx.Client(timeout=10)

    def _content(self) -> str:
        secret = f'webhook_secret = "{SECRET}"'
        return "\n".join([
            "[gateways.local]", f'url = "{self.urls["local"]}"', secret,
            "[gateways.razorpay]", 'key_id = "rzp_test_1"', 'key_secret = "k"', secret,
            f'url = "{self.urls["razorpay"]}"',
            "[gateways.stripe]", 'api_key = "sk_test_1"', secret, f'url = "{self.urls["nobody"]}"',
            *(line for name in ("swift", "thrift") for line in
              (f"[carriers.{name}]", 'kind = "local"', f'url = "{self.urls[name]}"', secret)),
        ])  # fmt: skip

    def _web(self, name: str, *command: str) -> Process:
        return Process(*command, f"--listen={self.urls[name].removeprefix('http://')}")

    def _gateway(self, name: str) -> Process:
        hooks = f"--webhook-url={self.urls['hooks']}/webhooks/{name}"
        return self._web(name, "local", "gateway", f"--secret-file={self._secret_file}", hooks)

    def _carrier(self, name: str, *more: str) -> Process:
        scans = f"--scans-url={self.urls['hooks']}/scans/{name}"
        secret = f"--secret-file={self._secret_file}"
        return self._web(name, "local", "carrier", secret, f"--name={name}", scans, "--step-ms=-1", *more)

    def _worker(self, name: str) -> Process:
        cursors = self.folder / name
        return Process("worker", name, f"--outside={self.file}", f"--cursors={cursors}", f"--server={self._server}")

    def restart(self, worker: str, meanwhile: Callable[[], Any] = lambda: None) -> None:
        """Kill a worker, and start it again."""
        self.workers[worker].kill()
        meanwhile()
        self.workers[worker] = self._worker(worker)

    def behave(self, at: str = "local", **how: Any) -> None:
        """How a gateway or a carrier behaves from now on."""
        assert self.http.put(f"{self.urls[at]}/behaviour", json=how).status_code == 200

    def calls(self, at: str = "local") -> dict[str, int]:
        """What a gateway did, and how often."""
        found: dict[str, int] = self.http.get(f"{self.urls[at]}/calls").json()
        return found

    def pay(self, order: str, at: str = "local", **how: Any) -> dict[str, Any]:
        """A customer pays at a gateway."""
        answer = self.http.post(f"{self.urls[at]}/v1/orders/{order}/pay", json=how)
        found: dict[str, Any] = answer.json()
        return found

    def tell(self, path: str, body: bytes, **headers: str) -> httpx.Response:
        """A webhook."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.post(f"{self.urls['hooks']}{path}", content=body, headers=named)

    def stop(self) -> None:
        """All of it."""
        self.http.close()
        for process in (*self.workers.values(), *self.carriers, self.second, self.gateway, self.hooks):
            process.stop()


def until(holds: Callable[[], Any], what: str) -> Any:
    """Wait for something that comes by itself."""
    ends = time.monotonic() + SETTLES_WITHIN_SECONDS
    while not (found := holds()):
        assert time.monotonic() < ends, what
        time.sleep(0.02)
    return found
