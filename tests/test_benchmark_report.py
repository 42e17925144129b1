"""What a run of the benchmarks leaves says what was measured; two runs are told apart by more than noise."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as command
from benchmarks import compare, report
from benchmarks.row import Row, in_turn

ROWS = [
    Row("P1", "lane, batches of 13,000", 1_200_000, "orders/s", {"echo": 9_000_000, "PostgreSQL": 2_500}, 9e5, 1.3e6)
    .judged("1,000,000 or more", True),
    Row("P2", "PlaceOrder, one at a time, median (+0.9 ms over)", 1.5, "ms", {"echo": 0.6}).judged("0.8 ms", False),
    Row("path", "checks", 40.0, "ns/order", {"memory alone": 2.0}),
    Row("path", "all of it but the wire", 900.0, "ns/order", {"memory alone": 320.0}),
    Row("P8", "kernel", 70.0, "ns/order", curve="SKUs", at=10_000),
    Row("P8", "kernel", 90.0, "ns/order", curve="SKUs", at=1_000_000),
]  # fmt: skip


def run_of(*rows: Row) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(report.document(rows, ["P1"], quick=True, seconds=1.0)))
    return found


def test_a_run_leaves_its_figures_with_where_and_when_a_page_and_pictures(tmp_path: Path) -> None:
    found = run_of(*ROWS)
    report.write(tmp_path / "out", found)
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == found
    assert found["machine"]["cores"] > 0
    assert found["versions"]["numpy"]
    assert found["rows"][0]["ratio"] == pytest.approx(1.2 / 9)
    page = (tmp_path / "out" / "report.html").read_text()
    for text in ("1,200,000 orders/s", "PostgreSQL 2,500", "0.8 ms", "SKUs 1,000,000", found["machine"]["processor"]):
        assert text in page
    assert "http" not in page.replace("http-equiv", ""), "the page asks for nothing from elsewhere"
    names = {path.name for path in (tmp_path / "out").glob("*.png")}
    assert names == {"P1.png", "path.png", "SKUs.png"}
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in (tmp_path / "out").glob("*.png"))


def test_the_table_of_goals_says_which_are_met() -> None:
    lines = report.goals(run_of(*ROWS))
    assert sum(line.startswith("| P") for line in lines) == 2
    assert "1,000,000 or more, met" in lines[2]
    assert "0.8 ms, **not met**" in lines[3]


def changed(before: Row, after: Row) -> str:
    (found,) = compare.compare(run_of(before), run_of(after))
    return found.verdict


def test_a_change_counts_beyond_noise_and_in_its_direction() -> None:
    rate, wait = Row("a", "b", 100.0, "orders/s"), Row("a", "b", 100.0, "ms")
    assert changed(rate, Row("a", "b", 120.0, "orders/s")) == "better"
    assert changed(rate, Row("a", "b", 80.0, "orders/s")) == "worse"
    assert changed(rate, Row("a", "b", 105.0, "orders/s")) == "noise"
    assert changed(wait, Row("a", "b", 120.0, "ms")) == "worse"
    assert changed(wait, Row("a", "b", 80.0, "ms")) == "better"


def test_from_nothing_and_to_nothing_is_no_noise() -> None:
    sold_twice = Row("a", "b", 5.0, "units", {"of scarce stock": 0.0})
    none = Row("a", "b", 0.0, "units", {"of scarce stock": 0.0})
    assert changed(none, none) == "noise"
    assert changed(none, sold_twice) == "worse"
    assert changed(sold_twice, none) == "better"
    assert changed(Row("a", "b", 100.0, "orders/s"), Row("a", "b", 0.0, "orders/s")) == "worse"
    assert changed(Row("a", "b", 0.0, "orders/s"), Row("a", "b", 100.0, "orders/s")) == "better"


def test_what_the_peer_felt_too_is_no_change_and_ranges_that_overlap_are_noise() -> None:
    busy = Row("a", "b", 50.0, "orders/s", {"echo": 500.0})
    assert changed(Row("a", "b", 100.0, "orders/s", {"echo": 1000.0}), busy) == "noise"
    assert changed(Row("a", "b", 100.0, "orders/s", {"echo": 500.0}), busy) == "worse"
    wide = Row("a", "b", 120.0, "orders/s", {}, 90.0, 150.0)
    assert changed(Row("a", "b", 100.0, "orders/s", {}, 80.0, 110.0), wide) == "noise"
    assert changed(Row("a", "b", 100.0, "orders/s", {}, 80.0, 89.0), wide) == "better"


def test_a_median_and_a_worst_call_are_no_range_of_runs() -> None:
    name = "p99 of a batch (low: median, high: worst)"
    late = Row("a", name, 90.0, "ms", {}, 20.0, 130.0)
    assert changed(Row("a", name, 40.0, "ms", {}, 19.0, 70.0), late) == "worse"


def test_figures_in_brackets_are_no_part_of_a_name() -> None:
    before = Row("a", "p99 (1,234 a second)", 40.0, "ms")
    assert changed(before, Row("a", "p99 (1,251 a second)", 80.0, "ms")) == "worse"


def test_figures_that_only_one_run_has_are_named_and_points_of_a_curve_are_told_apart() -> None:
    found = compare.compare(run_of(*ROWS[:2]), run_of(ROWS[1], *ROWS[4:]))
    assert [change.verdict for change in found] == ["noise", "new", "new", "gone"]


def test_compare_ends_by_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [tmp_path / name for name in ("one.json", "two.json", "none.json")]
    paths[0].write_text(json.dumps(run_of(*ROWS)))
    paths[1].write_text(json.dumps(run_of(Row("path", "checks", 80.0, "ns/order", {"memory alone": 2.0}))))
    paths[2].write_text("{}")
    assert compare.main([str(paths[0]), str(paths[0])]) == 0
    assert compare.main([str(paths[0]), str(paths[1])]) == 1
    assert "worse" in capsys.readouterr().out
    paths[2].write_text(json.dumps(run_of(*ROWS) | {"quick": False}))
    assert compare.main([str(paths[0]), str(paths[2])]) == 0
    assert "one of the runs is --quick" in capsys.readouterr().err
    paths[2].write_text("{}")
    for wrong in (paths[2], tmp_path / "missing"):
        assert compare.main([str(paths[0]), str(wrong)]) == 2
        assert "no two runs" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--json", "--report"])
def test_a_place_that_cannot_be_written_is_told_before_the_work(
    flag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr("sys.argv", ["benchmarks", "--only", "P1", flag, str(tmp_path / "file" / "out")])
    monkeypatch.setattr(command, "import_module", lambda name: pytest.fail(f"{name} was begun"))
    with pytest.raises(SystemExit):
        command.main()
    assert f"{flag} {tmp_path}" in capsys.readouterr().err


def test_parts_take_turns_and_the_first_round_does_not_count() -> None:
    calls: list[str] = []

    def part(name: str, seconds: list[float]) -> Any:
        def run() -> float:
            calls.append(name)
            return seconds.pop(0)

        return run

    runs = in_turn(2, one=part("one", [9.0, 1.0, 3.0]), two=part("two", [9.0, 2.0, 2.0]))
    assert calls == ["one", "two"] * 3
    assert runs["one"].median == 2.0
    assert runs["two"].spread(4) == (2.0, 2.0)
