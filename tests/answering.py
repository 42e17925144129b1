"""A server that gives the answers it is told to, to whatever a gateway's SDK asks."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any, NamedTuple


class Heard(NamedTuple):
    """One call."""

    method: str
    path: str
    headers: dict[str, str]  # names in small letters
    body: bytes


class Answering:
    """Answers by method and path, without its query; anything else gets `status` and `body`."""

    def __init__(self) -> None:
        self.status, self.body, self.heard = 200, b"{}", list[Heard]()
        self.answers: dict[tuple[str, str], tuple[int, Any]] = {}
        self.is_silent, self.ends = False, Event()
        told = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                told.heard.append(Heard(self.command, self.path, headers, body))
                if told.is_silent:
                    told.ends.wait(60)
                    return
                status, answer = told.answers.get((self.command, self.path.partition("?")[0]), (0, None))
                self._answer(status or told.status, json.dumps(answer).encode() if status else told.body)

            do_GET = do_POST  # noqa: N815

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@contextmanager
def answering() -> Iterator[Answering]:
    """One for the length of a block."""
    server = Answering()
    try:
        yield server
    finally:
        server.ends.set()
        server.server.shutdown()
        server.server.server_close()
