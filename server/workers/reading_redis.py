"""A channel's figures as a reader takes them from Redis: all of them, then every change, with nothing missed between.

    last id of the stream  ->  the hash, piece by piece  ->  entries behind that id: older than the hash, then changes

An entry up to the id that the stream has after the hash was read may be older than the hash: only newer figures of it
count. Every entry behind that is a change. Where the stream no longer holds the entry that was read last (it was cut,
or Redis was emptied), what came behind may be gone too: the hash is read again.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping

import grpc

from allot.v1 import availability_pb2 as pb
from allot_client.errors import Unavailable
from allot_client.patience import Patience
from server.workers.failure import WorkerError
from server.workers.redis_store import RedisStore

FIGURES_MAX = 4096  # of one answer
OLD_SECONDS = 5.0  # figures that are older are told to be
_ENTRIES_MAX = 100  # read at once
_WAIT_MS = 500  # for the next change
_BEGINNING = "0-0"  # of a stream, before its first entry
# What passes by itself, or when somebody starts Redis again.
_PASSING = (
    "REDIS_UNREACHABLE", "REDIS_SLOW", "REDIS_LOADING", "REDIS_CLUSTER_DOWN", "REDIS_NO_MASTER", "REDIS_READ_ONLY",
    "NOT_COMPLETE",
)  # fmt: skip
Figure = tuple[str, int, int]  # SKU, units, version


class RedisWatch:
    """One channel, followed. Raises WorkerError where that does not work, for so long where it may pass."""

    def __init__(
        self, store: RedisStore, channel: str, after: int = 0, patience_seconds: float = 60.0,
        note: Callable[[str], None] = lambda text: None,
    ) -> None:  # fmt: skip
        """after: figures of this version and before are left out. note: told what a person should know meanwhile."""
        self._store, self._channel, self._after, self._note = store, channel, after, note
        self._patience = Patience(patience_seconds)
        self._known: dict[str, tuple[int, int]] = {}  # by SKU: units and version as they were told
        self._at = ""  # the entry that was read last; empty: the hash is to be read
        self._hash_upto = _BEGINNING  # entries up to here may be older than what the hash said
        self._engine, self._version = "", 0
        self._is_anew = False  # the hash is told as it is, not only what is newer
        self._old_noted_at = 0.0

    async def answers(self, once: bool = False) -> AsyncIterator[pb.WatchAvailabilityResponse]:
        """Every figure that is newer, then every change; once: the first complete answer is the last."""
        while True:
            try:
                async for answer in self._some():
                    yield answer
                    if answer.complete and once:
                        return
                self._patience.answered()
            except WorkerError as error:
                if error.reason not in _PASSING:
                    raise
                try:
                    pause = self._patience.pause(Unavailable(grpc.StatusCode.UNAVAILABLE, str(error)))
                except Unavailable:
                    raise error from None
                await asyncio.sleep(pause)

    async def _some(self) -> AsyncIterator[pb.WatchAvailabilityResponse]:
        """What there is now, or after a short wait."""
        if not self._at:
            async for answer in self._from_the_hash():
                yield answer
            return
        entries = await self._store.changes(self._channel, self._at, _WAIT_MS, _ENTRIES_MAX)
        # Asked after the entries were read: while the last one is there, nothing behind it was cut off.
        is_whole = (not entries and self._at == _BEGINNING) or await self._store.has_change(self._channel, self._at)
        state = await self._store.state(self._channel)
        if not is_whole or state.get("engine") != self._engine:
            self._at = ""
            return
        for key, fields in entries:
            for answer in self._change(key, fields):
                yield answer
        self._say_age(state)

    def _change(self, key: str, fields: Mapping[str, str]) -> Iterable[pb.WatchAvailabilityResponse]:
        """What an entry of the stream says."""
        figures = self._news(_lines(fields["figures"]), only_newer=_is_upto(key, self._hash_upto))
        self._at = key
        yield from _answers(figures)
        if fields["as_of_us"] != "0":  # else a piece of a long pass
            self._version = int(fields["version"])
            yield self._complete(fields)

    async def _from_the_hash(self) -> AsyncIterator[pb.WatchAvailabilityResponse]:
        at, before = await self._store.last_change(self._channel), await self._state()
        self._begin_anew_unless_it_goes_on(before)
        async for figures in self._store.scan_figures(self._channel):
            for answer in _answers(self._news(figures, only_newer=not self._is_anew)):
                yield answer
        upto, state = await self._store.last_change(self._channel), await self._state()
        if state["engine"] != self._engine or int(state["version"]) < self._version:
            return  # it began anew meanwhile: once more
        self._at, self._hash_upto, self._is_anew = at or _BEGINNING, upto or _BEGINNING, False
        self._say_age(before)
        yield self._complete(before)

    def _begin_anew_unless_it_goes_on(self, state: Mapping[str, str]) -> None:
        """Redis may have lost its last writes, or hold another engine's: what it says now is what there is."""
        engine, version = state["engine"], int(state["version"])
        if self._engine and (engine != self._engine or version < self._version):
            self._note(f"figures of version {self._version} were there, now {version}: told anew")
            self._is_anew, self._after = True, 0
            if engine != self._engine:
                self._known.clear()
        self._engine, self._version = engine, version

    async def _state(self) -> Mapping[str, str]:
        state = await self._store.state(self._channel)
        if not state and not self._known:
            raise WorkerError(
                "NO_FIGURES", f"no figures of channel {self._channel!r}: is that its name, does the relay run, and is "
                "the prefix the relay's?",
            )  # fmt: skip
        if int(state.get("version", 0)) == 0:
            raise WorkerError("NOT_COMPLETE", f"the figures of channel {self._channel!r} are not complete yet: wait")
        return state

    def _news(self, figures: Iterable[Figure], only_newer: bool) -> list[Figure]:
        """Those that were not told yet, and are known from now on."""
        news = []
        for sku, units, version in figures:
            known = self._known.get(sku)
            if known == (units, version) or (only_newer and known is not None and version <= known[1]):
                continue
            self._known[sku] = units, version
            if version > self._after or not only_newer:
                news.append((sku, units, version))
        return news

    def _complete(self, fields: Mapping[str, str]) -> pb.WatchAvailabilityResponse:
        return pb.WatchAvailabilityResponse(
            version=int(fields["version"]), complete=True, as_of_us=int(fields.get("as_of_us", 0)),
            durable_at_us=int(fields.get("durable_at_us", 0)), engine_id=self._engine,
        )  # fmt: skip

    def _say_age(self, state: Mapping[str, str]) -> None:
        old = seconds_since(state)
        now = time.monotonic()
        if old is not None and old > OLD_SECONDS and now - self._old_noted_at > OLD_SECONDS:
            self._note(f"the figures are {old:,.0f} s old: does the relay run, and the server?")
            self._old_noted_at = now


def seconds_since(state: Mapping[str, str]) -> float | None:
    """How old the figures of a state are; None where there are none that are complete."""
    as_of_us = int(state.get("as_of_us", 0))
    return max(0.0, time.time() - as_of_us / 1e6) if as_of_us else None


def _answers(figures: list[Figure]) -> Iterable[pb.WatchAvailabilityResponse]:
    for first in range(0, len(figures), FIGURES_MAX):
        some = figures[first : first + FIGURES_MAX]
        yield pb.WatchAvailabilityResponse(
            figures=[pb.Availability(sku=sku, units=units, version=version) for sku, units, version in some]
        )


def _lines(text: str) -> Iterable[Figure]:
    """The figures of an entry: `SKU TAB units TAB version LF` of each."""
    for line in text.split("\n")[:-1]:
        sku, units, version = line.rsplit("\t", 2)
        yield sku, int(units), int(version)


def _is_upto(key: str, upto: str) -> bool:
    """Whether an entry is not behind another one."""
    one, other = (tuple(map(int, name.split("-"))) for name in (key, upto))
    return one <= other
