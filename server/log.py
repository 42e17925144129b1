"""The server's log: JSON lines, or text for people, on stderr, in UTC. Secrets and payloads never get into it.

Values under names that hold secrets are replaced, bearer tokens and card numbers in texts too; messages and bytes are
replaced by their type and size; tracebacks show no variables.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog
from google.protobuf.message import Message
from structlog.typing import FilteringBoundLogger, Processor

from server.security import CARD_RUN, holds_card_number

REDACTED = "[redacted]"
TEXT_CHARACTERS_MAX = 4000  # of one value
ERROR_CHARACTERS_MAX = 300  # of the message of an exception, which may quote what was sent
_SECRET_NAMES = re.compile(r"authorization|token|secret|password|passwd|api_?key|private_?key|^key$|_key$|cookie", re.I)
_BEARER = re.compile(r"\b(bearer)\s+[^\s'\",)]+", re.I)


def open_log(
    level: str = "info", form: str = "json", stream: TextIO | None = None, everywhere: bool = False
) -> FilteringBoundLogger:
    """A log of what is at least of a level, as `json` or `text`, on a stream (stderr).

    everywhere: what modules say by `structlog.get_logger` goes there too, instead of to stdout.
    """
    stream = stream or sys.stderr
    render: Processor = (
        structlog.processors.JSONRenderer(default=str)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)
    )
    processors: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(_traceback),
        redact,
        render,
    ]
    wrapper = structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()])
    if everywhere:
        structlog.configure(
            processors=processors, wrapper_class=wrapper, logger_factory=structlog.PrintLoggerFactory(stream)
        )
    log: FilteringBoundLogger = structlog.wrap_logger(
        structlog.PrintLogger(stream), processors=processors, wrapper_class=wrapper, cache_logger_on_first_use=True
    )
    return log


class Forward(logging.Handler):
    """Takes what libraries say by `logging`, as gRPC's own errors, into the log."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.log(record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info or None)


def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The event without secrets and payloads: a processor of structlog."""
    return {name: _clean(name, value) for name, value in event.items()}


def _clean(name: str, value: Any) -> Any:
    if _SECRET_NAMES.search(name) and isinstance(value, str | bytes):
        return REDACTED
    if isinstance(value, str):
        return _clean_text(value)
    if isinstance(value, dict):
        return {str(inner): _clean(str(inner), of) for inner, of in value.items()}
    if isinstance(value, list | tuple):
        if len(value) == 2 and isinstance(value[0], str) and _SECRET_NAMES.search(value[0]):  # of call metadata
            return [value[0], REDACTED]
        return [_clean(name, of) for of in value]
    if isinstance(value, Message):
        return f"[{value.DESCRIPTOR.name}, {value.ByteSize()} bytes]"
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(value)} bytes]"
    return value if isinstance(value, int | float | bool | None) else _clean_text(str(value))


def _clean_text(text: str) -> str:
    text = _BEARER.sub(rf"\1 {REDACTED}", text)
    text = CARD_RUN.sub(lambda found: REDACTED if holds_card_number(found.group()) else found.group(), text)
    return text if len(text) <= TEXT_CHARACTERS_MAX else f"{text[:TEXT_CHARACTERS_MAX]}..."


def _traceback(exc_info: Any) -> str:
    """Where it happened, without variables, and what it was, cut short. The last lines are kept: they say most."""
    import traceback

    kind, error, frames = exc_info
    where = "".join(traceback.format_tb(frames))[-(TEXT_CHARACTERS_MAX - ERROR_CHARACTERS_MAX - 100) :]
    return f"{where}{kind.__name__}: {str(error)[:ERROR_CHARACTERS_MAX]}"
