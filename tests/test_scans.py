"""What a carrier tells by a batch of scans: whatever a row says, the rows beside it are taken."""

import json
from typing import Any

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from allot_client.life import step_request
from engine.names import Names
from engine.outcomes import Namespace
from kernels.life import DocumentKind
from server.gateways.facts import signed
from server.step_batches import StepBatches
from server.web.scans import SCANNED, read_scans

NOW = 1_900_000_000.0
GOOD = {"tracking": "A1", "step": "DELIVER", "place": "hub"}
CARD = "4111 1111 1111 1111"
TEXTS = st.one_of(st.text(max_size=70), st.text("0123456789-._ ", max_size=30), st.just(CARD))
VALUES = st.one_of(TEXTS, st.none(), st.booleans(), st.integers(), st.floats(), st.lists(TEXTS, max_size=2))
ROWS = st.one_of(
    VALUES,
    st.fixed_dictionaries(
        {"tracking": st.one_of(TEXTS, VALUES), "step": st.sampled_from((*SCANNED, "SEND"))},
        optional={"at_us": VALUES, "place": st.one_of(TEXTS, VALUES)},
    ),
)


def batches() -> StepBatches:
    names = {space: Names(np.arange(4, dtype=np.uint64)) for space in Namespace}
    names[Namespace.WORD].add(["swift"])
    return StepBatches(names, (DocumentKind.SHIPMENT,))


TAKING = batches()


@settings(max_examples=300, deadline=None)
@given(ROWS)
@example({"tracking": "A2", "step": "SHIP", "place": CARD})
@example({"tracking": CARD, "step": "SHIP"})
@example({"tracking": " ", "step": "SHIP", "place": "\ud800"})
def test_no_row_stands_in_the_way_of_another(row: Any) -> None:
    body = json.dumps({"scans": [row, GOOD]}).encode()
    told = f"t={int(NOW)},v1={signed('s', f'{int(NOW)}.'.encode() + body)}"
    scans = read_scans("swift", body, told, "s", NOW)
    assert sorted([*scans.rows, *scans.refused]) == [0, 1]
    assert scans.trackings[-1] == "A1"
    assert scans.places[-1] == "hub"
    assert CARD not in scans.places
    request = step_request("shipments", (scans.key, scans.table("swift")))
    taken = TAKING.take(request.steps.batch, scans.key, 0)
    assert taken.command is not None
    assert len(taken.command.reference) == len(scans.rows)
