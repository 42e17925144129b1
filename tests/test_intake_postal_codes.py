"""Postal codes: how a text finds its point, files that are refused, and each repair of India's post offices."""

import numpy as np
import pyarrow as pa
import pytest

from engine.intake import india
from engine.intake.india import read_indian_codes, repair
from engine.intake.postal_codes import Places
from engine.intake.rate_card import kilometres
from engine.intake.tables import IntakeError
from tests import real_data

HEADER = "postal_code,latitude,longitude\n"


def places_file(folder, rows, name="places.csv"):
    path = folder / name
    path.write_text(HEADER + rows)
    return path


def degrees(found):
    return list(zip(found.latitude_e7.tolist(), found.longitude_e7.tolist(), strict=True))


def test_a_code_is_found_at_its_point(tmp_path):
    places = Places.read(places_file(tmp_path, "110001,28.61986,77.21292\n110002,-28.5,+.5\n"))
    found = places.find(pa.array(["110002", "110001", "110002"]))
    assert degrees(found) == [(-285_000_000, 5_000_000), (286_198_600, 772_129_200), (-285_000_000, 5_000_000)]
    assert found.known.tolist() == [True] * 3
    assert found.area.tolist() == [False] * 3


def test_degrees_are_exact_to_seven_decimals_and_rounded_beyond(tmp_path):
    places = Places.read(
        places_file(tmp_path, "A,28.1234567,77.7654321\nB,90,180\nC,-90,-180\nD,5.,0.00000004\nE,28.12345678,1\n")
    )
    assert places.latitude_e7.tolist() == [281_234_567, 900_000_000, -900_000_000, 50_000_000, 281_234_568]
    assert places.longitude_e7.tolist() == [777_654_321, 1_800_000_000, -1_800_000_000, 0, 10_000_000]


def test_an_unknown_code_is_placed_at_the_median_of_its_first_three_characters(tmp_path):
    places = Places.read(
        places_file(tmp_path, "400001,10,70\n400002,11,75\n400003,30,72\n500001,20,80\n500002,22,81\n")
    )
    found = places.find(pa.array(["400999", "500999", "400002"]))
    assert degrees(found) == [(110_000_000, 720_000_000), (210_000_000, 805_000_000), (110_000_000, 750_000_000)]
    assert found.area.tolist() == [True, True, False]
    assert found.known.tolist() == [True, True, True]


@pytest.mark.parametrize("text", ["600001", "", "40", "x400001", None, " 400001"])
def test_what_is_neither_a_code_nor_an_area_is_unknown(tmp_path, text):
    places = Places.read(places_file(tmp_path, "400001,10,70\n"))
    found = places.find(pa.array([text, "400001"], pa.string()))
    assert found.known.tolist() == [False, True]
    assert degrees(found)[0] == (0, 0)
    assert found.area.tolist() == [False, False]


def test_texts_may_come_chunked_or_not_at_all(tmp_path):
    places = Places.read(places_file(tmp_path, "400001,10,70\n"))
    chunked = places.find(pa.chunked_array([["400001"], ["400009", "400001"]]))
    assert chunked.area.tolist() == [False, True, False]
    assert places.find(pa.array([], pa.string())).known.size == 0
    assert places.find(pa.chunked_array([], pa.string())).known.size == 0
    assert places.find(pa.array([None, None], pa.string())).known.tolist() == [False, False]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("", "header but no rows"),
        ("400001,10,70\n,10,70\n", "row 2, postal_code: '' is empty"),
        ("400001,10,70\n400001,11,70\n", "row 2, postal_code: '400001' is there twice"),
        ("4000010000000000X,10,70\n", "row 1, postal_code: '4000010000000000X' is longer than 16"),
        ("400001,,70\n", "row 1, latitude: '' is not a number"),
        ("400001,10,\n", "row 1, longitude: '' is not a number"),
        ("400001,10N,70\n", "row 1, latitude: '10N' is not a number"),
        ("400001,nan,70\n", "row 1, latitude: 'nan' is not a number"),
        ("400001,.,70\n", "row 1, latitude: '.' is not a number"),
        ("400001,90.1,70\n", "row 1, latitude: '90.1' is beyond 90"),
        ("400001,10,70\n400002,10,-180.5\n", "row 2, longitude: '-180.5' is beyond 180"),
        ("400001,10\n", "row 1 has more or fewer cells"),
    ],
)
def test_a_bad_file_is_refused_with_its_row(tmp_path, rows, message):
    path = places_file(tmp_path, rows)
    with pytest.raises(IntakeError) as refused:
        Places.read(path)
    assert message in str(refused.value)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def offices(*rows):
    """repair() of offices given as (code, latitude, longitude): {code: (latitude, longitude, area)}."""
    code, latitude, longitude = (np.array(column) for column in zip(*rows, strict=True))
    codes = repair(code, latitude.astype(float), longitude.astype(float))
    points = zip(codes.latitude_e7 / 1e7, codes.longitude_e7 / 1e7, codes.area.tolist(), strict=True)
    return dict(zip(codes.postal_code.to_pylist(), points, strict=True))


def test_a_code_stands_at_the_median_of_its_offices():
    assert offices((400001, 19.0, 73.0), (400001, 19.1, 73.1), (400001, 19.9, 72.9)) == {"400001": (19.1, 73.0, False)}
    assert offices((400001, 19.0, 73.0), (400001, 19.02, 73.04)) == {"400001": (19.01, 73.02, False)}


def test_exchanged_coordinates_are_exchanged_back():
    assert offices((400001, 73.0, 19.0)) == {"400001": (19.0, 73.0, False)}


@pytest.mark.parametrize("point", [(np.nan, 73.0), (19.0, np.nan), (233643100, 73.0), (1.0, 1.0), (19.0, 19.0)])
def test_an_office_without_a_usable_point_counts_for_nothing(point):
    assert offices((400001, 19.0, 73.0), (400001, *point)) == {"400001": (19.0, 73.0, False)}


def test_a_code_without_a_usable_office_stands_at_the_median_of_its_area():
    found = offices((400001, 19.0, 73.0), (400002, 19.2, 73.2), (400003, np.nan, np.nan))
    assert found["400003"] == (19.1, 73.1, True)


def test_a_code_whose_area_has_no_point_is_left_out():
    assert list(offices((400001, 19.0, 73.0), (818142, np.nan, np.nan))) == ["400001"]


@pytest.mark.parametrize(("codes", "dropped"), [(5, False), (6, True)])
def test_a_point_that_many_codes_share_is_a_default(codes, dropped):
    shared = [(400001 + i, 19.00001, 73.00001 + i * 1e-6) for i in range(codes)]
    found = offices(*shared, (400001, 19.5, 73.5))
    assert found["400001"][:2] == pytest.approx((19.5, 73.5) if dropped else (19.250005, 73.250005))
    assert found["400002"][2] is dropped


def test_many_offices_of_one_code_may_share_a_point():
    assert offices(*[(400001, 19.0, 73.0)] * 9) == {"400001": (19.0, 73.0, False)}


def test_an_office_far_from_its_area_is_dropped():
    area = [(400002, 19.0, 73.0), (400003, 19.1, 73.1), (400004, 19.1, 73.1), (400005, 19.2, 73.2)]
    assert offices(*area, (400001, 21.0, 73.0))["400001"] == (19.1, 73.1, True)  # 211 km
    assert offices(*area, (400001, 20.0, 73.0))["400001"][2] is False  # 100 km


def test_an_area_has_one_median_that_of_all_its_usable_offices():
    """Those too far from it are dropped afterwards and do not move it."""
    found = offices((400002, 19.0, 73.0), (400003, 19.2, 73.2), (400004, 21.0, 73.6), (400001, np.nan, np.nan))
    assert found["400001"] == (19.2, 73.2, True)
    assert found["400004"] == (19.2, 73.2, True)


def test_degrees_and_minutes_are_corrected_where_another_office_confirms_it():
    decimal = 19 + 45 / 60, 73 + 30 / 60
    found = offices((400001, 19.45, 73.30), (400001, *decimal), (400002, *decimal))  # 19 degrees 45', 73 degrees 30'
    assert found["400001"][:2] == pytest.approx(decimal)


def test_a_right_office_is_not_moved_to_the_side_of_a_wrong_one():
    wrong = 19.45, 73.30  # which is where 19.27, 73.18 would be if those were minutes
    around = [(400002, 19.27, 73.18), (400003, 19.28, 73.17), (400004, 19.26, 73.19)]
    found = offices((400001, 19.27, 73.18), (400001, *wrong), *around)
    assert found["400001"][:2] == pytest.approx(((19.27 + 19.45) / 2, (73.18 + 73.30) / 2))


def test_degrees_and_minutes_stay_where_no_other_office_confirms_it():
    area = [(400002, 19.75, 73.5), (400003, 19.75, 73.5), (400004, 19.75, 73.5)]  # it alone would say minutes
    assert offices(*area, (400001, 19.45, 73.30), (400001, 19.6, 73.4))["400001"][:2] == pytest.approx((19.525, 73.35))
    assert offices((400001, 19.45, 73.30), (400002, 19.75, 73.5))["400001"][:2] == (19.45, 73.3)


def test_no_usable_office_at_all_gives_no_codes():
    assert offices((400001, np.nan, np.nan)) == {}


@pytest.fixture(scope="module")
def cached(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    heard = []
    return folder, read_indian_codes(folder, heard.append), heard


def test_india_is_whole(cached):
    _, codes, heard = cached
    assert len(codes.postal_code) == 19_585  # 19,586 less 818142, which has no point and no area
    assert int(codes.area.sum()) == 725
    assert codes.postal_code.to_pylist() == sorted(codes.postal_code.to_pylist())
    assert len(heard) == 3


def test_india_is_read_from_the_cache_the_second_time(cached):
    folder, codes, _ = cached
    heard = []
    again = read_indian_codes(folder, heard.append)
    assert heard == []
    assert_same_codes(codes, again)
    assert [path.suffix for path in folder.iterdir()] == [".parquet"]  # nothing half-written is left beside it


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "other"])
def test_a_damaged_cache_is_rebuilt(cached, monkeypatch, damage):
    folder, codes, _ = cached
    (path,) = folder.iterdir()
    good = path.read_bytes()
    middle = len(good) // 2
    path.write_bytes(
        {
            "cut": good[:middle], "flipped": good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :],
            "emptied": b"", "other": b"PAR1 something else PAR1",
        }[damage]
    )  # fmt: skip
    rebuilt = []
    monkeypatch.setattr(india, "_read_offices", lambda progress: (rebuilt.append(True), *[None] * 2))
    monkeypatch.setattr(india, "repair", lambda *_: codes)
    assert_same_codes(codes, read_indian_codes(folder))
    assert rebuilt == [True]
    assert_same_codes(codes, read_indian_codes(folder))
    assert rebuilt == [True]


def test_a_cache_that_cannot_be_written_stops_nothing(cached, monkeypatch, tmp_path):
    _, codes, _ = cached
    monkeypatch.setattr(india, "_read_offices", lambda progress: (None, None, None))
    monkeypatch.setattr(india, "repair", lambda *_: codes)
    (tmp_path / "file").write_text("")
    assert_same_codes(codes, read_indian_codes(tmp_path / "file" / "below"))


def test_a_disk_that_fills_up_leaves_no_half_cache(cached, monkeypatch, tmp_path):
    _, codes, _ = cached

    def write_half(_table, path, **_):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(india, "_read_offices", lambda progress: (None, None, None))
    monkeypatch.setattr(india, "repair", lambda *_: codes)
    monkeypatch.setattr(india.pyarrow.parquet, "write_table", write_half)
    assert_same_codes(codes, read_indian_codes(tmp_path))
    assert list(tmp_path.iterdir()) == []


def assert_same_codes(one, other):
    assert one.postal_code.equals(other.postal_code)
    for mine, theirs in zip(one[1:], other[1:], strict=True):
        np.testing.assert_array_equal(mine, theirs)


SOME_PLACES = {  # of the table, for where it is not beside the repository: code: latitude, longitude, by area
    "110004": (28.62108, 77.19614, False), "202130": (27.92247, 78.39879, False), "229406": (26.20194, 81.24, True),
    "302037": (26.91525, 75.80056, True), "416412": (16.52231, 73.85585, True), "500064": (17.35733, 78.45545, False),
    "638706": (10.8378, 77.57621, False), "670358": (11.95, 75.54049, True), "700036": (22.634, 88.36975, False),
}  # fmt: skip


def test_india_agrees_with_a_table_repaired_elsewhere(cached):
    """The same codes, the same ones placed by their area, and nearly all at the same point.

    What differs is which offices' degrees are read as minutes: that table states its rule in words only. Without
    the table a few places of it stand in.
    """
    _, codes, _ = cached
    mine = codes.postal_code.to_pylist()
    theirs = SOME_PLACES
    if real_data.available():
        theirs = {code: (*point, source == "pin3_median") for code, (*point, source) in real_data.pincodes().items()}
        assert mine == sorted(theirs)
    rows = np.searchsorted(mine, sorted(theirs))
    points = np.array([theirs[code] for code in sorted(theirs)])
    np.testing.assert_array_equal(codes.area[rows], points[:, 2])  # 726 of the raw table less 818142
    apart = kilometres(codes.latitude_e7[rows] / 1e7, codes.longitude_e7[rows] / 1e7, points[:, 0], points[:, 1])
    assert (apart < 1).mean() > 0.999
    assert apart.max() < 5
