"""The page of `allot load`: what its plots say can be read."""

import pytest

from server.cli import load_page
from server.cli.page import prepare_plots


@pytest.mark.parametrize("most", [4.0, 40.0, 40_000.0])
def test_latencies_within_a_decade_and_over_many_have_plain_figures_on_their_axis(most: float) -> None:
    pytest.importorskip("matplotlib")
    prepare_plots()
    timeline = [{"at": at, "p50_ms": 2.0, "p99_ms": most} for at in range(1, 5)]
    drawn = load_page._over_time(timeline).svg.decode()
    assert "mathdefault" not in drawn
    assert "<!-- 2 -->" in drawn
    assert f"<!-- {most / 2:,g} -->" in drawn
