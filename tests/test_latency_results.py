"""Latency against load: percentiles of all rounds together, and the section that they fill."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.latency import NAMES, PERCENTS, SHARES, Measurement, Point, _point, _rows
from benchmarks.latency_results import BEGIN, END, PLOT, section, write_results


def point(at: float, per_second: float, calls: int = 20_000) -> Point:
    return Point(at, per_second, calls, 0, 0.5, {percent: (percent + at, percent, 2 * percent) for percent in PERCENTS})


@pytest.fixture
def found() -> Measurement:
    closed = {name: [point(1, 500), point(64, 4_000)] for name in NAMES}
    arriving = {name: [point(share * 4_000, share * 4_000, 900) for share in SHARES] for name in NAMES}
    return Measurement(closed, arriving, SHARES, 0.25, 2, 3.46)


def test_percentiles_are_medians_of_rounds_and_the_rarest_of_all_together():
    rounds = [np.linspace(1, 10 * number, 500) for number in (1, 2, 3)]
    told = [
        {"each_ms": one.tolist(), "per_second": 100.0 * number, "client_cores": 0.1 * number, "failed": {"X": 1}}
        for number, one in enumerate(rounds)
    ]
    made = _point(4, told)
    assert (made.at, made.per_second, made.calls, made.failed, made.client_cores) == (4, 100.0, 1500, 3, 0.2)
    for percent in PERCENTS:
        each = [np.percentile(one, percent) for one in rounds]
        middle = sorted(each)[1] if percent < 99.9 else np.percentile(np.concatenate(rounds), percent)
        expected = (middle, min(each), max(each))
        assert made.percentiles[percent] == pytest.approx(expected)


def test_rows_have_a_peer_and_a_range(found: Measurement):
    rows = _rows("closed", found.closed, (1, 64))
    assert len(rows) == 2 * len(PERCENTS)
    assert rows[0].what == "PlaceOrder, closed, 1 at a time, p50 (500/s)"
    assert (rows[0].value, rows[0].low, rows[0].high, rows[0].peers) == (51, 50, 100, {"echo": 51})
    assert "open, at 10% of the peak" in _rows("open", found.open, found.shares)[0].what


def test_the_section_has_a_line_for_each_load_and_says_what_is_rough(found: Measurement):
    text = "\n".join(section(found))
    assert found.peak == 4_000
    assert "| 64 | 4,000 | 0 | 114.00 (50.00 to 100.00) |" in text
    assert "| 95% | 3,800 | 0 |" in text
    assert f"{len(SHARES)} of the 8 rows" in text
    assert "3.5 of their processes" in text
    assert "{" not in text


def test_results_are_written_beside_their_plot_and_replaced(found: Measurement, tmp_path: Path):
    (tmp_path / "RESULTS.md").write_text("# Results\n\nothers\n")
    for _ in range(2):
        write_results(tmp_path, found)
    text = (tmp_path / "RESULTS.md").read_text()
    assert (text.count(BEGIN), text.count(END), text.count("## Latency against load")) == (1, 1, 1)
    assert "others" in text
    assert (tmp_path / PLOT).read_text().startswith("<?xml")
