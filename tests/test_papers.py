"""Labels, manifests and the command: rendered to pictures, their codes read back, and what cannot be printed.

Invoices are in test_papers_invoice.py, files that are given in test_papers_given.py.
"""

import json
import random
import re
import time
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pypdfium2
import pypdfium2.raw
import pytest
import zxingcpp

from allot.v1 import life_pb2, shipments_pb2
from allot_client import Client
from engine.export import FILES, TIME, WORD
from server.cli.paper import parcel_of
from server.papers.bar_code import bar_code
from server.papers.drawing import BOLD, fitted
from server.papers.given import PaperError
from server.papers.handed import handed
from server.papers.label import ROOM_DOTS, WIDTH_DOTS, label_pdf, label_zpl
from server.papers.manifest import Handed, manifest_number, manifest_pdf
from server.papers.parcel import Item, Parcel, Party, amount
from tests.command_line import run
from tests.running import server

SHIRT = Item("SHIRT-RED-XL", 2, 99_800, 2_495, 2_495, 4_900, 123, 122)
PARCEL = Parcel(
    1042, "A-1", "BLR", "swift", "SWIF0000000042", "560034", 109_935, "INR", 1_760_898_600_000_000,
    life_pb2.TAX_SPLIT_WITHIN_REGION, "29-0000000042", 1_760_904_600_000_000, (SHIRT,),
)  # fmt: skip
TO = Party("Asha Rao", ("14, 2nd Cross", "Koramangala", "Bengaluru"), "560034", "+91 00000 00000", region="29")
SELLER = Party("Kala Shirts Pvt Ltd", ("Plot 7", "Whitefield"), "560066", gstin="29ABCDE1234F1ZW", upi="kala@bank")
FULL = Party("M" * 60, ("W" * 60, "M" * 59, "x" * 60, "Landmark: Forum", "Bengaluru"), "560034", "+91 00000 00000")
OF_CODE_PAGE_1252 = "".join(
    one for one in (bytes([at]).decode("cp1252", "ignore") for at in range(256)) if one and one.isprintable()
)


def pages(pdf: bytes, dots_per_inch: int = 216) -> list:
    with pypdfium2.PdfDocument(pdf) as document:
        return [page.render(scale=dots_per_inch / 72).to_pil() for page in document]


def codes(picture) -> dict[str, str]:
    """What a scanner reads, by the kind of code."""
    return {str(found.format).removeprefix("BarcodeFormat."): found.text for found in zxingcpp.read_barcodes(picture)}


def text_of(pdf: bytes) -> str:
    with pypdfium2.PdfDocument(pdf) as document:
        return "\n".join(page.get_textpage().get_text_bounded() for page in document)


def check_layout(pdf: bytes, margin: float) -> None:
    """Every text is within the margins, and none runs over another."""
    with pypdfium2.PdfDocument(pdf) as document:
        for page in document:
            objects = page.get_objects(filter=[pypdfium2.raw.FPDF_PAGEOBJ_TEXT])
            left, bottom, right, top = np.array([one.get_bounds() for one in objects]).T
            width, height = page.get_size()
            assert left.min() >= margin - 1
            assert bottom.min() >= margin - 5  # what hangs below the line
            assert right.max() <= width - margin + 1
            assert top.max() <= height - margin + 1
            across = np.minimum.outer(right, right) - np.maximum.outer(left, left)
            down = np.minimum.outer(top, top) - np.maximum.outer(bottom, bottom)
            assert np.argwhere(np.triu((across > 0.2) & (down > 0.2), 1)).tolist() == []


@pytest.mark.parametrize(("minor", "currency", "shown"), [
    (109_935, "INR", "1,099.35"), (-5, "INR", "-0.05"), (1_099, "JPY", "1,099"), (1_234_567, "KWD", "1,234.567"),
    (12_345, "CLF", "1.2345"), (0, "VND", "0"), (7, "XYZ", "0.07"),
])  # fmt: skip
def test_an_amount_has_the_decimals_of_its_currency(minor: int, currency: str, shown: str):
    assert amount(minor, currency) == shown


# Labels


@pytest.mark.parametrize("tracking", ["SWIF0000000042", "1490123456789", "Z", "AWB-7/42 x", "A" * 31, "7" * 60])
def test_the_bar_code_of_a_label_reads_back(tracking: str):
    pdf = label_pdf(replace(PARCEL, tracking=tracking), TO, SELLER)
    for dots_per_inch in (203, 300, 600):  # of two kinds of label printers, and of an office's
        (picture,) = pages(pdf, dots_per_inch)
        assert picture.width == 4 * dots_per_inch
        assert list(codes(picture).values()) == [tracking]


@pytest.mark.parametrize("tracking", ["A" * 32, "7" * 61, "7" * 64, "A" * 25 + "1234567" + "B"])
def test_a_bar_code_that_no_scanner_would_read_is_refused(tracking: str):
    for paper in (label_pdf, label_zpl):
        with pytest.raises(PaperError, match=r"reference: .* 31 characters at most, or 60 digits"):
            paper(replace(PARCEL, tracking=tracking), TO, SELLER)


def test_a_bar_code_is_of_whole_dots_with_room_for_its_quiet_zones():
    for tracking in ("Z", "SWIF0000000042", "A" * 20, "A" * 31, "7" * 60):
        bars = bar_code("reference", tracking, WIDTH_DOTS)
        assert bars.module_dots >= 2, "0.25 mm at 203 dots an inch"
        assert bars.dots + 2 * 10 * bars.module_dots <= WIDTH_DOTS
        row = np.asarray(pages(label_pdf(replace(PARCEL, tracking=tracking), TO, SELLER), 203)[0].convert("L"))[686]
        ends = np.flatnonzero(np.diff(np.concatenate(([False], row < 128, [False])).astype(int)))
        assert ends[0] >= 10 * bars.module_dots
        assert ends[-1] <= 812 - 10 * bars.module_dots
        assert np.diff(ends).tolist() == [width * bars.module_dots for width in bars.widths]


def told_by_zpl(zpl: str) -> str:
    """What a printer encodes, by Table 6 of the ZPL II Programming Guide."""
    (data,) = re.findall(r"\^BCN,200,N,N,N,N\^FH\^FD(.*)\^FS", zpl)
    data = re.sub("_([0-9A-F]{2})", lambda found: chr(int(found[1], 16)), data)
    subset, found, at = {">:": "B", ">;": "C"}[data[:2]], "", 2
    while at < len(data):
        if data[at] == ">":
            code = data[at : at + 2]
            if code in (">5", ">6"):
                assert subset == {">5": "B", ">6": "C"}[code]
                subset = {">5": "C", ">6": "B"}[code]
            else:
                found += {"><": "^", ">=": "~", ">0": ">"}[code]
            at += 2
        elif subset == "B":
            found += data[at]
            at += 1
        else:
            assert data[at : at + 2].isdigit()
            found += data[at : at + 2]
            at += 2
    return found


def test_the_bar_code_for_a_printer_of_zpl_says_the_same():
    drawn = random.Random(7)
    kinds = ("0123456789", "".join(map(chr, range(32, 127))), "AB12345678")
    trackings = ["".join(drawn.choices(drawn.choice(kinds), k=drawn.randint(1, 20))) for _ in range(200)]
    for tracking in ("SWIF0000000042", ">^~_\\", "7" * 59, *trackings):
        assert told_by_zpl(label_zpl(replace(PARCEL, tracking=tracking), TO, SELLER)) == tracking


def test_a_label_says_where_it_goes_and_what_is_to_be_collected():
    said = text_of(label_pdf(PARCEL, TO, SELLER))
    for wanted in ("Asha Rao", "Koramangala", "560034", "COD INR 1,099.35", "SWIFT", "FROM BLR", "Kala Shirts",
                   "Order A-1", "2 units"):  # fmt: skip
        assert wanted in said
    assert "PREPAID" in text_of(label_pdf(replace(PARCEL, collect=0), TO, SELLER))
    yen = replace(PARCEL, currency="JPY", collect=1_099)
    assert "COD JPY 1,099\n" in text_of(label_pdf(yen, TO, SELLER)).replace("\r", "")
    assert "^FDCOD JPY 1,099^FS" in label_zpl(yen, TO, SELLER)
    for paper in (text_of(label_pdf(replace(PARCEL, order_id=""), TO, SELLER)),
                  label_zpl(replace(PARCEL, order_id=""), TO, SELLER)):  # fmt: skip
        assert "Order" not in paper


def longest(parcel: Parcel) -> Parcel:
    return replace(
        parcel, number=2**63 - 1, tracking="W" * 31, order_id="W" * 64, node_id="N" * 64, carrier="c" * 32,
        postal_code="9" * 16, collect=10**15,
    )  # fmt: skip


@pytest.mark.parametrize("party", [TO, FULL, Party()])
def test_texts_of_a_label_keep_within_it_and_apart(party: Party):
    for parcel in (PARCEL, longest(PARCEL)):
        pdf = label_pdf(parcel, party, party)
        check_layout(pdf, 14)
        assert (parcel.tracking in text_of(pdf), parcel.postal_code in text_of(pdf)) == (True, True)


@pytest.mark.parametrize("party", [TO, FULL, Party()])
def test_texts_of_a_label_of_zpl_keep_within_it_and_apart(party: Party):
    for parcel in (PARCEL, longest(PARCEL)):
        zpl = label_zpl(parcel, party, party)
        found = re.findall(r"\^FO(\d+),(\d+)\^A0N,(\d+),\d+\^FH\^FD(.*)\^FS", zpl)
        assert (f"^FD{parcel.tracking}^FS" in zpl, f"^FD{parcel.postal_code}^FS" in zpl) == (True, True)
        ends = 0
        for x, y, height, text in found[2:]:
            assert fitted(text, BOLD, int(height), ROOM_DOTS + 1, 0) == (text, int(height)), "wider than the label"
            assert (int(x), int(y) >= ends) == (40, True), "it runs into the line above"
            ends = int(y) + int(height)
        assert ends <= 1218
        for x, _, height, text in found[:2]:
            assert fitted(text, BOLD, int(height), 367, 0) == (text, int(height))
            assert int(x) in (40, 406)


def test_the_same_label_for_a_printer_that_speaks_zpl():
    zpl = label_zpl(PARCEL, replace(TO, name="^XZ~JR_\\ Rao"), SELLER)
    assert zpl.startswith("^XA\n^CI28\n^PW812\n^LL1218\n")
    assert zpl.endswith("^XZ\n")
    assert zpl.count("^XZ") == 1, "a name is no command of the printer"
    assert "^FD_5EXZ_7EJR_5F_5C Rao^FS" in zpl
    assert "^FD>:SWIF>50000000042^FS" in zpl


@pytest.mark.parametrize(("field", "value"), [("postal_code", ""), ("tracking", ""), ("tracking", "naïve")])
def test_a_label_that_would_get_nowhere_is_not_printed(field: str, value: str):
    for paper in (label_pdf, label_zpl):
        with pytest.raises(PaperError, match="postal_code" if field == "postal_code" else "reference"):
            paper(replace(PARCEL, **{field: value}), TO, SELLER)


@pytest.mark.parametrize(("name", "missing"), [
    ("आशा राव", "'आ', 'श', 'ा', 'र', 'व'"), ("Łukasz", "'Ł'"), ("₹ 5 Shop", "'₹'"), ("a\u200bb", r"'\\u200b'"),
])  # fmt: skip
def test_what_the_font_does_not_have_is_refused_by_name(name: str, missing: str):
    for paper in (label_pdf, label_zpl):
        with pytest.raises(PaperError, match=f"to: name: .*the font has no {missing}: write it in Latin letters"):
            paper(PARCEL, replace(TO, name=name), SELLER)
        with pytest.raises(PaperError, match=f"seller: lines: .*the font has no {missing}"):
            paper(PARCEL, TO, replace(SELLER, lines=("Plot 7", name)))
        for field in ("carrier", "node_id", "order_id", "postal_code"):
            with pytest.raises(PaperError, match=f"{field}: "):
                paper(replace(PARCEL, **{field: name}), TO, SELLER)
    with pytest.raises(PaperError, match="carrier: 'Μ'"):  # the capital of the micro sign is Greek
        label_pdf(replace(PARCEL, carrier="µ"), TO, SELLER)


def test_what_the_font_has_is_printed():
    for at in range(0, len(OF_CODE_PAGE_1252), 40):
        some = OF_CODE_PAGE_1252[at : at + 40].strip()
        assert some in text_of(label_pdf(PARCEL, replace(TO, name=some), SELLER))
    assert "^FDZoë Müller^FS" in label_zpl(PARCEL, replace(TO, name="Zoë Müller"), SELLER)


# Manifests

DAY = date(2026, 11, 11)
MIDNIGHT = 1_794_335_400  # of that day in India, seconds since 1970


def test_a_manifest_lists_every_parcel_and_its_code_reads_back():
    parcels = [Handed(at, f"A-{at}", f"SWIF{at:010d}", "560034", "BLR", 2, at % 2 == 0) for at in range(100)]
    parcels[7] = Handed(2**63 - 1, "W" * 64, "W" * 64, "9" * 16, "BLR", 10**9, True, 10**15, "INR")
    pdf = manifest_pdf("swift", DAY, "BLR", parcels)
    said = text_of(pdf)
    assert [one.tracking for one in parcels if one.tracking not in said] == []
    assert "100 parcels" in said
    check_layout(pdf, 40)
    pictures = pages(pdf)
    assert len(pictures) == 3
    assert list(codes(pictures[0]).values()) == [manifest_number("swift", DAY, "BLR")]
    with pytest.raises(PaperError, match="no parcel"):
        manifest_pdf("swift", DAY, "BLR", [])
    for carrier, node, named in (("सु", "BLR", "printable ASCII"), ("swift", "N" * 64, "characters at most")):
        with pytest.raises(PaperError, match=f"carrier and node: .*{named}"):
            manifest_pdf(carrier, DAY, node, parcels)
    with pytest.raises(PaperError, match=r"shipment 3: order_id: .*the font has no"):
        manifest_pdf("swift", DAY, "BLR", [Handed(3, "आ", "T", "560034", "BLR", 1, False)])


@pytest.mark.parametrize(("collect", "currency", "is_cash", "shown"), [
    (109_935, "INR", True, "INR 1,099.35"), (1_099, "JPY", False, "JPY 1,099"), (0, "INR", True, ""),
    (None, "INR", True, "yes"), (None, "INR", False, ""),
])  # fmt: skip
def test_a_manifest_says_what_is_to_be_collected(collect: int | None, currency: str, is_cash: bool, shown: str):
    one = Handed(1, "A-1", "T", "560034", "BLR", 1, is_cash, collect, currency)
    assert one.cash == shown
    assert shown in text_of(manifest_pdf("swift", DAY, "BLR", [one]))


class History:
    """Orders and steps as `allot export` writes them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.steps, self.orders = folder, [], []

    def step(self, hour: int, number: int, step: str, **more: Any) -> None:
        """hour: of 11 November in India."""
        row = {"stamp": (MIDNIGHT + 3_600 * hour) * 1_000_000, "number": number, "order_number": number, "step": step}
        self.steps.append(row | more)

    def booked(self, hour: int, number: int, carrier: str, reference: str | None) -> None:
        self.step(hour, number, "BOOK", how=carrier, node_id="BLR", reference=reference, amount=4_000)

    def made(self, number: int, method: str = "cash_on_delivery") -> None:
        self.orders.append({"number": number, "order_id": f"A-{number}", "postal_code": "560034",
                            "payment_method": method, "currency": "INR"})  # fmt: skip
        self.step(-30, number, "SEND", node_id="BLR")
        self.step(-30, number, "ADD_ITEM", quantity=3)
        self.step(-30, number, "SHRINK", quantity=1)

    def handed(self, carrier: str, day: date = DAY, node_id: str = "") -> list[tuple[int, str, str]]:
        for name, rows in (("steps", self.steps), ("orders", self.orders)):
            columns = {}
            for column, kind, _ in FILES[name]:
                plain = pa.string() if kind is WORD else pa.int64() if kind == TIME else kind
                columns[column] = pa.array([row.get(column) for row in rows], plain).cast(kind)
            pq.write_table(pa.table(columns), self.folder / f"{name}.parquet")
        found = handed(self.folder, carrier, day, node_id)
        assert all((one.units, one.order_id) == (2, f"A-{one.shipment}") for one in found)
        return [(one.shipment, one.tracking, one.cash) for one in found]


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path)


def test_a_parcel_booked_anew_stands_once_with_its_last_carrier_and_number(history: History):
    for number in (1, 2, 3):
        history.made(number)
        history.booked(-20, number, "swift", f"OLD{number}")  # the day before
    history.booked(1, 1, "swift", "NEW1")
    history.booked(2, 2, "slow", "NEW2")
    history.booked(3, 2, "slow", "NEWER2")
    assert history.handed("swift") == [(1, "NEW1", "yes")]
    assert history.handed("slow") == [(2, "NEWER2", "yes")]
    assert history.handed("swift", date(2026, 11, 10)) == [(3, "OLD3", "yes")]
    assert history.handed("swift", node_id="BLR") == [(1, "NEW1", "yes")]
    assert history.handed("swift", node_id="DEL") == []


def test_a_booking_without_a_number_is_a_choice_and_no_booking(history: History):
    for number in (1, 2):
        history.made(number)
    history.booked(1, 1, "swift", None)
    history.booked(1, 2, "swift", "T2")
    history.booked(2, 2, "slow", None)
    assert history.handed("swift") == [(2, "T2", "yes")]
    assert history.handed("slow") == []


def test_what_is_to_be_collected_is_told_by_the_first_step_that_says_it_left(history: History):
    for number, method in ((1, "prepaid"), (2, "cash_on_delivery"), (3, "prepaid"), (4, "cash_on_delivery")):
        history.made(number, method)
        history.booked(1, number, "swift", f"T{number}")
    history.step(2, 1, "SHIP", amount=109_935)
    history.step(3, 1, "SHIP", amount=None)  # told again
    history.step(2, 2, "SHIP", amount=None)
    assert history.handed("swift") == [(1, "T1", "INR 1,099.35"), (2, "T2", ""), (3, "T3", ""), (4, "T4", "yes")]


def test_a_parcel_that_was_recalled_before_it_left_was_not_handed_over(history: History):
    for number in (1, 2):
        history.made(number)
        history.booked(1, number, "swift", f"T{number}")
    history.step(2, 1, "RECALL")
    history.step(2, 2, "SHIP", amount=5)
    history.step(3, 2, "RETURNING")
    history.step(4, 2, "RECALL")
    assert history.handed("swift") == [(2, "T2", "INR 0.05")]


# The command


def test_papers_print_what_the_server_answers():
    shipment = life_pb2.Shipment(
        number=1042, node_id="BLR", carrier="swift", collect=109_935, shipped_at_us=1_760_898_600_000_000,
        tax_split=life_pb2.TAX_SPLIT_WITHIN_REGION, reference="SWIF0000000042", invoice_number="29-0000000042",
        invoiced_at_us=1_760_904_600_000_000,
    )  # fmt: skip
    shipment.items.add(
        line=1, sku="SHIRT-RED-XL", quantity=2, charged_quantity=2, goods=99_800, tax=2_495, tax_2=2_495,
        shipping=4_900, shipping_tax=123, shipping_tax_2=122,
    )  # fmt: skip
    found = shipments_pb2.GetShipmentResponse(
        shipment=shipment, order_number=77, postal_code="560034", channel="own", order_id="A-1", currency="INR"
    )
    assert parcel_of(found) == PARCEL


def test_papers_of_a_running_server(tmp_path: Path):
    to, seller, goods = tmp_path / "to.json", tmp_path / "seller.json", tmp_path / "goods.json"
    to.write_text(json.dumps({"name": "Asha Rao", "lines": ["14, 2nd Cross"]}))
    seller.write_text(json.dumps({"name": "Kala", "lines": ["Plot 7"], "gstin": SELLER.gstin, "upi": "kala@bank"}))
    goods.write_text(json.dumps({"SHIRT": {"name": "Red shirt", "hsn": "6205"}}))
    with server(tmp_path / "data") as running:
        with Client(running.address) as shop:
            shop.put_nodes([("BLR", 12.97, 77.59)])
            shop.put_tax_regions([{"node_id": "BLR", "region": "29"}, {"postal_code": "560034", "region": "29"}])
            shop.put_channel("own")
            shop.receive_stock([("SHIRT", "BLR", 9)])
            shop.place_order(
                channel="own", order_id="A-1", postal_code="560034", currency="INR", payment_method="cash_on_delivery",
                lines=[{"sku": "SHIRT", "quantity": 2, "unit_price": 49_900, "tax": 2_495}],
            )  # fmt: skip
            number = shop.create_shipment("own", "A-1", "S-1", "BLR").number
            at = f"--server={running.address}"
            early = run("paper", "label", str(number), "--out", tmp_path / "label.pdf", at)
            assert (early.code, "no tracking number" in early.err) == (2, True)
            shop.advance_shipment("book", channel="own", shipment_id="S-1", carrier="swift", reference="SWIF1", cost=1)
            given = ("--to", to, "--seller", seller, at)
            early = run("paper", "invoice", str(number), "--out", tmp_path / "i.pdf", *given)
            assert (early.code, "has not left" in early.err) == (2, True)
            shop.advance_shipment("ship", channel="own", shipment_id="S-1")
        label = run("paper", "label", str(number), "--out", tmp_path / "label.pdf", *given)
        assert (label.code, label.err) == (0, "")
        zpl = run("paper", "label", str(number), "--zpl", "--to", to, "--out", tmp_path / "label.zpl", at)
        assert (zpl.code, "COD INR 1,047.90" in (tmp_path / "label.zpl").read_text()) == (0, True)
        made = run("paper", "invoice", str(number), "--goods", goods, "--out", tmp_path / "i.pdf", *given)
        assert (made.code, made.err) == (0, "")
        nobody = run("paper", "label", "99999", "--out", tmp_path / "no.pdf", at)
        assert (nobody.code, "UNKNOWN_SHIPMENT" in nobody.err) == (1, True)
    assert list(codes(pages((tmp_path / "label.pdf").read_bytes())[0]).values()) == ["SWIF1"]
    invoice = (tmp_path / "i.pdf").read_bytes()
    (asked,) = codes(pages(invoice)[0]).values()
    assert "am=1047.90" in asked
    assert [
        one for one in ("Order A-1", "Invoice 29-", "Red shirt", "6205", "SGST") if one not in text_of(invoice)
    ] == []
    assert run("export", "--data", tmp_path / "data", "--out", tmp_path / "history", "--json").code == 0
    today = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 5.5 * 3600))
    given = ("paper", "manifest", tmp_path / "history", "--carrier", "swift", "--out", tmp_path / "m.pdf")
    found = run(*given, "--day", today)
    assert (found.code, found.err) == (0, "")
    said = text_of((tmp_path / "m.pdf").read_bytes())
    assert ("SWIF1" in said, "INR 1,047.90" in said) == (True, True)
    assert run(*given, "--day", "2020-01-01").code == 2
    missing = run("paper", "manifest", tmp_path, "--carrier", "swift", "--out", tmp_path / "m.pdf", "--day", today)
    assert (missing.code, "allot export" in missing.err) == (2, True)
