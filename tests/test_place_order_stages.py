"""The stages of a PlaceOrder: every function that is timed is there, and stages add up to the call."""

import re
import subprocess
import sys
from pathlib import Path

from benchmarks.place_order import BEGIN, END, GRPC, WAITS

ROOT = Path(__file__).resolve().parents[1]


def test_stages_add_up_and_the_section_is_written(tmp_path: Path):
    command = [sys.executable, "-m", "benchmarks.place_order", "--seconds", "0.4", "--out", tmp_path]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert ended.returncode == 0, ended.stderr
    text = (tmp_path / "RESULTS.md").read_text()
    assert BEGIN in text
    assert END in text
    assert ended.stdout.strip() in text
    rows = [re.split(r" *\| *", line.strip("| ")) for line in ended.stdout.splitlines()[2:]]
    assert [row[0] for row in rows[-3:]] == [WAITS, GRPC, "in all"]
    assert len(rows) == 11
    for column in (1, 2, 3):
        *parts, total = (float(row[column]) for row in rows)
        assert total > 0
        assert abs(sum(parts) - total) <= len(parts)  # each is rounded
    for row in rows[:8]:
        assert float(row[1]) > 0
