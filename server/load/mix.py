"""What is sent, in shares: `place=80,reserve=10,read=10`. A mix draws the kinds of requests, one after another, by a
seed.
"""

from collections.abc import Iterator
from enum import StrEnum
from itertools import repeat

import numpy as np

_SEED = 32
_CHUNK = 4_096


class Kind(StrEnum):
    """A kind of request."""

    PLACE = "place"  # PlaceOrder
    RESERVE = "reserve"  # Reserve, then Confirm or Release
    READ = "read"  # GetOrder of an order that was taken, GetAvailability
    PROMISE = "promise"  # Promise
    BATCH = "batch"  # a batch of AllocateBatches


class Mix:
    """Shares of kinds, as they were given; they need not add up to 100."""

    def __init__(self, shares: dict[Kind, float]) -> None:
        self.shares = shares

    def __str__(self) -> str:
        return ",".join(f"{kind}={share:g}" for kind, share in self.shares.items())

    @classmethod
    def parse(cls, text: str) -> "Mix":
        """From the command line. Raises ValueError, which says what will not do and the mend."""
        shares: dict[Kind, float] = {}
        for part in text.split(","):
            name, _, share = (word.strip() for word in part.partition("="))
            if name not in set(Kind):
                raise ValueError(f"{part.strip()!r} is no part of a mix: give KIND=SHARE, of {', '.join(Kind)}")
            if Kind(name) in shares:
                raise ValueError(f"{name} is given twice: give each kind once")
            shares[Kind(name)] = _share(name, share)
        if not any(shares.values()):
            raise ValueError(f"{text}: nothing would be sent: give a share above 0")
        return cls({kind: share for kind, share in shares.items() if share})

    def draws(self, seed: int) -> Iterator[Kind]:
        """Kinds one after another, each as often as its share says. Does not end."""
        kinds = list(self.shares)
        if len(kinds) == 1:
            yield from repeat(kinds[0])
        chance, shares = np.random.default_rng((_SEED, seed)), np.array(list(self.shares.values()))
        shares /= shares.max()  # large ones would have no sum
        while True:
            yield from (kinds[kind] for kind in chance.choice(len(kinds), _CHUNK, p=shares / shares.sum()).tolist())


def _share(name: str, text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        raise ValueError(f"{name}={text}: {text!r} is no number: give a share such as {name}=10") from None
    if not 0 <= share < float("inf"):
        raise ValueError(f"{name}={text}: give a share of 0 or more")
    return share
