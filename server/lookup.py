"""Text to index and back for single requests: the engine's names behind dictionaries, since one text at a time is what
they are quick at.

Arrow batches ask the names themselves, a column at a time.
"""

import numpy as np

from engine.names import Names
from engine.outcomes import Namespace
from engine.state import State

KEPT_MAX = 1 << 18  # texts of a namespace; beyond, all are asked for anew


class Lookup:
    """The indices of texts that are known. Names are never taken back, so what was found once stays true."""

    def __init__(self, state: State) -> None:
        self._names: dict[Namespace, Names] = state.names
        self._indices = {namespace: _indices(names) for namespace, names in state.names.items()}
        self._texts: dict[Namespace, list[str]] = {namespace: [] for namespace in Namespace}

    def find(self, namespace: Namespace, text: str) -> int:
        """The index of a text, or -1."""
        known = self._indices[namespace]
        index = known.get(text)
        if index is None:
            index = self._names[namespace].find_one(text)
            if index < 0:
                return -1
            if len(known) >= KEPT_MAX:
                known.clear()
            known[text] = index
        return index

    def texts(self, namespace: Namespace) -> list[str]:
        """All texts of a small namespace (nodes, channels, words), by index."""
        texts, names = self._texts[namespace], self._names[namespace]
        if len(texts) < len(names):
            texts = self._texts[namespace] = [names.text(index) for index in range(len(names))]
        return texts


def _indices(names: Names) -> dict[str, int]:
    """Those that are known at the start, where it is not too long to tell."""
    count = len(names)
    texts = names.texts(np.arange(count, dtype=np.int32)).to_pylist() if count <= KEPT_MAX else []
    return dict(zip(texts, range(count), strict=False))
