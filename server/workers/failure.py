"""How a worker says that the outside does not do what it should: with a word for metrics and a line for people."""


class WorkerError(Exception):
    """The outside cannot be worked with now. `reason` is in UPPER_SNAKE, the text says what to do."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class WillNotDo(WorkerError):
    """Somebody has to look at it: trying again soon does not help, and the event is parked at once (following.py)."""
