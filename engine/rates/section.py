"""One table of a card's TOML file: values are taken out by key, each checked, and what is left over is refused.

Every error is an IntakeError that names the file, the key, the value and the mend.
"""

import datetime
import tomllib
from pathlib import Path
from typing import Any

from engine.intake.tables import IntakeError

MISSING = object()  # as a default: there is none
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
CLOSED_DATES_MAX = 1000


class Section:
    """A table of the file. `where`: the file and the keys that lead to it."""

    def __init__(self, where: str, values: dict[str, Any]) -> None:
        self.where = where
        self._values = values
        self._known: list[str] = []

    @classmethod
    def read(cls, path: Path) -> "Section":
        """The whole of a TOML file."""
        try:
            return cls(f"{path}: ", tomllib.loads(path.read_text(encoding="utf-8-sig")))
        except OSError as error:
            raise IntakeError(f"{path}: cannot be read ({error.strerror}): name the TOML file of the card") from None
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise IntakeError(f"{path}: not a TOML file in UTF-8 ({error})") from None

    def fault(self, key: str, message: str) -> IntakeError:
        """An error about one key."""
        return IntakeError(f"{self.where}{key}: {message}")

    def has(self, key: str) -> bool:
        """Whether a key is given."""
        return key in self._values

    def take(self, key: str, kind: type, what: str, default: Any = MISSING) -> Any:
        """A value of a type; `what` says what it must be."""
        self._known.append(key)
        if key not in self._values:
            if default is MISSING:
                raise self.fault(key, f"is missing; give {what}")
            return default
        value = self._values[key]
        if type(value) is not kind:
            raise self.fault(key, f"is {value!r}; give {what}")
        return value

    def integer(self, key: str, low: int, high: int, unit: str, default: Any = MISSING) -> Any:
        """A whole number within its range."""
        what = f"a whole number from {low:,} to {high:,}, in {unit}"
        value = self.take(key, int, what, default)
        if value is not default and not low <= value <= high:
            raise self.fault(key, f"is {value:,}; give {what}")
        return value

    def text(self, key: str, what: str, default: Any = MISSING) -> Any:
        """A text that is not empty."""
        value = self.take(key, str, what, default)
        if value is not default and not value.strip():
            raise self.fault(key, f"is empty; give {what}")
        return value

    def section(self, key: str, what: str, default: Any = MISSING) -> "Section":
        """A table within this one."""
        return Section(f"{self.where}{key}.", self.take(key, dict, what, default))

    def sections(self, key: str, what: str, needed: bool = True) -> dict[str, "Section"]:
        """Tables by name."""
        outer = self.section(key, what, MISSING if needed else {})
        if needed and not outer.names():
            raise self.fault(key, f"is empty; give {what}")
        return {name: outer.section(name, what) for name in outer.names()}

    def names(self) -> list[str]:
        """The keys that are given."""
        return list(self._values)

    def weekdays(self, default: Any = MISSING) -> Any:
        """The days of the week on which somebody works: a tuple of 7 bools, Monday first."""
        what = f"a list of some of {', '.join(WEEKDAYS)}"
        value = self.take("weekdays", list, what, default)
        if value is default:
            return default
        if not value or any(day not in WEEKDAYS for day in value):
            raise self.fault("weekdays", f"is {value!r}; give {what}")
        return tuple(day in value for day in WEEKDAYS)

    def closed(self, default: Any = MISSING) -> Any:
        """Dates on which nobody works, as days since 1970, ascending."""
        what = f"a list of up to {CLOSED_DATES_MAX} dates, such as [2026-12-25]"
        value = self.take("closed", list, what, default)
        if value is default:
            return default
        if len(value) > CLOSED_DATES_MAX or any(type(date) is not datetime.date for date in value):
            raise self.fault("closed", f"is {value!r:.100}; give {what}")
        return tuple(sorted({(date - datetime.date(1970, 1, 1)).days for date in value}))

    def end(self) -> None:
        """Refuse keys that nothing has asked for."""
        for key in self._values:
            if key not in self._known:
                raise self.fault(key, f"there is no such key; there are {', '.join(self._known)}")
