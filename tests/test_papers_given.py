"""Files that whoever prints gives: parties and goods. Whatever is in them, there is an error that names the mend."""

import json
from pathlib import Path

import pytest

from server.papers.given import FILE_BYTES_MAX, PaperError
from server.papers.goods import Goods, read_goods
from server.papers.parcel import Party
from tests.command_line import run


@pytest.mark.parametrize(("content", "named"), [
    (b"{", "no JSON"), (b"", "no JSON"), (b"[]", "object of name, lines"), (b"7", "object"), (b'{"nam": "x"}', "'nam'"),
    (b'{"name": 7}', "name: 7: give a text"), (b'{"name": null}', "name: None: give a text"),
    (b'{"lines": "x"}', "lines"), (b'{"lines": [1]}', "lines: 1"), (json.dumps({"lines": ["x"] * 6}).encode(), "lines"),
    (b'{"name": "x\\ny"}', r"leave out '\\n'"), (b'{"name": "x\\u00a0y"}', r"leave out '\\xa0'"),
    (b'{"name": "\\ud800"}', "leave out"), (json.dumps({"name": "x" * 61}).encode(), "60 characters at most"),
    (b'{"name": "Asha \xff"}', "byte 16 is no UTF-8"), ('{"name": "é"}'.encode("utf-16"), "byte 1 is no UTF-8"),
    (b'{"name": "a", "name": "b"}', "'name' is given twice"), (b'{"name": {"a": 1, "a": 2}}', "'a' is given twice"),
    (b"[" * 100_000, "no JSON"), (b'{"name": ' + b"7" * 5_000 + b"}", "no JSON"), (b'{"name": NaN}', "name: nan"),
    (b'{"name": "' + b"x" * FILE_BYTES_MAX + b'"}', "more than 67,108,864 bytes"),
])  # fmt: skip
def test_a_party_that_is_none_is_refused(content: bytes, named: str, tmp_path: Path):
    path = tmp_path / "to.json"
    path.write_bytes(content)
    with pytest.raises(PaperError, match=named) as refused:
        Party.read(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert len(str(refused.value)) < 400


def test_a_party_is_read_as_editors_write_it(tmp_path: Path):
    path = tmp_path / "to.json"
    path.write_bytes(b"\xef\xbb\xbf" + '{"name": "Zoe\u0308", "lines": ["a", "b"]}'.encode())
    assert Party.read(path) == Party("Zo\u00eb", ("a", "b"))
    with pytest.raises(OSError, match="No such file"):
        Party.read(tmp_path / "none.json")


@pytest.mark.parametrize(("content", "named"), [
    ([], "object of goods by SKU"), ({"A": "6205"}, "'A': '6205': give an object as"), ({"A": {}}, "'A': {}: give"),
    ({"A": {"HSN": "6205"}}, "'A': .*give an object"), ({"A": {"name": 1}}, "'A': name: 1"),
    ({"A": {"hsn": 6205}}, "'A': hsn: 6205: give a text"), ({"A": {"hsn": ""}}, "4, 6 or 8 digits"),
    ({"A": {"hsn": "62"}}, "4, 6 or 8 digits"), ({"A": {"hsn": "62051"}}, "4, 6 or 8 digits"),
    ({"A": {"hsn": "6205 "}}, "4, 6 or 8 digits"), ({"A": {"hsn": "६२०५"}}, "4, 6 or 8 digits"),
    ({"A": {"name": "x" * 201}}, "'A': name: .*200 characters at most"),
])  # fmt: skip
def test_goods_that_are_malformed_are_refused(content: object, named: str, tmp_path: Path):
    path = tmp_path / "goods.json"
    path.write_text(json.dumps(content))
    with pytest.raises(PaperError, match=named) as refused:
        read_goods(path)
    assert str(refused.value).startswith(f"{path}: ")


def test_goods_have_names_and_codes_by_sku(tmp_path: Path):
    path = tmp_path / "goods.json"
    path.write_text('{"A": {"name": "Shirt", "hsn": "6205"}, "B": {"hsn": "62052000"}, "C": {"name": "Mug"}}')
    assert read_goods(path) == {"A": Goods("Shirt", "6205"), "B": Goods("", "62052000"), "C": Goods("Mug", "")}


def test_a_file_that_cannot_be_used_ends_the_command_with_one_line(tmp_path: Path):
    bad, good, out = tmp_path / "bad.json", tmp_path / "good.json", tmp_path / "out.pdf"
    bad.write_bytes(b'{"name": "Asha \xff"}')
    good.write_text("{}")
    none = tmp_path / "none.json"
    for paper, option, path in (("label", "--to", bad), ("invoice", "--seller", bad), ("invoice", "--goods", bad),
                                ("invoice", "--goods", none), ("invoice", "--to", tmp_path)):  # fmt: skip
        seller = () if paper == "label" or option == "--seller" else ("--seller", good)
        found = run("paper", paper, "1", option, path, *seller, "--out", out, "--server", "127.0.0.1:1")
        assert (found.code, found.err.count("\n"), "Traceback" in found.err) == (2, 1, False)
        assert str(path) in found.err
        assert not out.exists()
