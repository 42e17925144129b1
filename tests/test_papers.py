"""Labels, invoices and manifests: rendered to pictures, their codes read back, and what cannot be printed."""

import json
import time
from dataclasses import replace
from datetime import date
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pypdfium2
import pytest
import zxingcpp

from allot_client import Client
from server.papers.invoice import invoice_number, invoice_pdf
from server.papers.label import label_pdf, label_zpl
from server.papers.manifest import Handed, manifest_number, manifest_pdf
from server.papers.parcel import Item, PaperError, Parcel, Party
from tests.command_line import run
from tests.running import server

SHIRT = Item("SHIRT-RED-XL", 2, 99_800, 2_495, 2_495, 4_900, 123, 122)
PARCEL = Parcel(
    1042, "A-1", "BLR", "swift", "SWIF0000000042", "560034", 109_935, shipped_at_us=1_760_970_600_000_000,
    is_within_region=True, items=(SHIRT,),
)  # fmt: skip
TO = Party("Asha Rao", ("14, 2nd Cross", "Koramangala", "Bengaluru"), "560034", "+91 00000 00000", region="29")
SELLER = Party("Kala Shirts Pvt Ltd", ("Plot 7", "Whitefield"), "560066", gstin="29ABCDE1234F1Z5", upi="kala@bank")


def pages(pdf: bytes) -> list:
    with pypdfium2.PdfDocument(pdf) as document:
        return [page.render(scale=3).to_pil() for page in document]


def codes(picture) -> dict[str, str]:
    """What a scanner reads, by the kind of code."""
    return {str(found.format).removeprefix("BarcodeFormat."): found.text for found in zxingcpp.read_barcodes(picture)}


def text_of(pdf: bytes) -> str:
    with pypdfium2.PdfDocument(pdf) as document:
        return "\n".join(page.get_textpage().get_text_bounded() for page in document)


@pytest.mark.parametrize("tracking", ["SWIF0000000042", "1490123456789", "Z", "AWB-7/42 x", "A" * 30])
def test_the_bar_code_of_a_label_reads_back(tracking: str):
    (picture,) = pages(label_pdf(replace(PARCEL, tracking=tracking), TO, SELLER))
    assert (picture.width, picture.height) == (864, 1296)  # 4 by 6 inches
    assert list(codes(picture).values()) == [tracking]


def test_a_label_says_where_it_goes_and_what_is_to_be_collected():
    said = text_of(label_pdf(PARCEL, TO, SELLER))
    for wanted in ("Asha Rao", "Koramangala", "560034", "COD INR 1,099.35", "SWIFT", "FROM BLR", "Kala Shirts"):
        assert wanted in said
    assert "PREPAID" in text_of(label_pdf(replace(PARCEL, collect=0), TO, SELLER))


def test_the_same_label_for_a_printer_that_speaks_zpl():
    zpl = label_zpl(PARCEL, replace(TO, name="^XZ~JR_\\ Rao"), SELLER)
    assert zpl.startswith("^XA\n")
    assert zpl.endswith("^XZ\n")
    assert zpl.count("^XZ") == 1, "a name is no command of the printer"
    assert "^FD_5EXZ_7EJR_5F_5C Rao^FS" in zpl
    assert "^BCN,200,Y,N,N,A^FH^FDSWIF0000000042^FS" in zpl


@pytest.mark.parametrize(("field", "value"), [("postal_code", ""), ("tracking", ""), ("tracking", "naïve")])
def test_a_label_that_would_get_nowhere_is_not_printed(field: str, value: str):
    for paper in (label_pdf, label_zpl):
        with pytest.raises(PaperError, match="postal_code" if field == "postal_code" else "reference"):
            paper(replace(PARCEL, **{field: value}), TO, SELLER)


def test_an_invoice_adds_up_and_its_code_asks_for_what_is_due():
    pdf = invoice_pdf(PARCEL, TO, SELLER)
    said = text_of(pdf)
    for wanted in (invoice_number(PARCEL), "29ABCDE1234F1Z5", "20 Oct 2025", "998.00", "24.95", "1,047.90", "49.00",
                   "1.23", "1.22", "51.45", "Total INR 1,099.35", "CGST", "SGST", "Place of supply 29"):  # fmt: skip
        assert wanted in said, wanted
    (picture,) = pages(pdf)
    asked = urlsplit(next(iter(codes(picture).values())))
    assert (asked.scheme, asked.netloc) == ("upi", "pay")
    assert {name: value for name, (value,) in parse_qs(asked.query).items()} == {
        "pa": "kala@bank", "pn": "Kala Shirts Pvt Ltd", "am": "1099.35", "cu": "INR", "tn": "Order A-1",
    }  # fmt: skip


def test_an_invoice_between_regions_of_many_lines_that_is_paid():
    items = tuple(Item(f"SKU-{at}", 1, 100, 5) for at in range(60))
    pdf = invoice_pdf(replace(PARCEL, is_within_region=False, collect=0, items=items), TO, SELLER)
    said = text_of(pdf)
    assert len(pages(pdf)) == 3
    assert "IGST" in said
    assert "CGST" not in said
    assert "Total INR 63.00" in said
    assert codes(pages(pdf)[2]) == {}


@pytest.mark.parametrize(
    ("parcel", "seller", "named"),
    [
        (PARCEL, replace(SELLER, gstin=""), "gstin"), (PARCEL, replace(SELLER, gstin="29"), "gstin"),
        (PARCEL, replace(SELLER, upi=""), "upi"), (replace(PARCEL, shipped_at_us=0), SELLER, "has not left"),
    ],
)  # fmt: skip
def test_an_invoice_that_would_not_hold_is_not_printed(parcel: Parcel, seller: Party, named: str):
    with pytest.raises(PaperError, match=named):
        invoice_pdf(parcel, TO, seller)


def test_a_manifest_lists_every_parcel_and_its_code_reads_back():
    day = date(2026, 11, 11)
    parcels = [Handed(at, f"A-{at}", f"SWIF{at:010d}", "560034", "BLR", 2, at % 2 == 0) for at in range(100)]
    pdf = manifest_pdf("swift", day, "BLR", parcels)
    said = text_of(pdf)
    assert [one.tracking for one in parcels if one.tracking not in said] == []
    assert "100 parcels" in said
    pictures = pages(pdf)
    assert len(pictures) == 3
    assert list(codes(pictures[0]).values()) == [manifest_number("swift", day, "BLR")]
    with pytest.raises(PaperError, match="no parcel"):
        manifest_pdf("swift", day, "BLR", [])


def test_an_address_that_is_none_is_refused(tmp_path: Path):
    path = tmp_path / "to.json"
    for content, named in (("{", "no JSON"), ("[]", "object"), ('{"nam": "x"}', "nam"), ('{"name": 7}', "name"),
                           ('{"lines": "x"}', "lines"), (json.dumps({"lines": ["x"] * 9}), "lines"),
                           (json.dumps({"name": "x\ny"}), "name")):  # fmt: skip
        path.write_text(content)
        with pytest.raises(PaperError, match=named):
            Party.read(path)


def test_papers_of_a_running_server(tmp_path: Path):
    to, seller = tmp_path / "to.json", tmp_path / "seller.json"
    to.write_text(json.dumps({"name": "Asha Rao", "lines": ["14, 2nd Cross"]}))
    seller.write_text(json.dumps({"name": "Kala", "gstin": "29ABCDE1234F1Z5", "upi": "kala@bank"}))
    with server(tmp_path / "data") as running:
        with Client(running.address) as shop:
            shop.put_nodes([("BLR", 12.97, 77.59)])
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
            shop.advance_shipment("ship", channel="own", shipment_id="S-1")
        label = run("paper", "label", str(number), "--to", to, "--seller", seller, "--out", tmp_path / "label.pdf", at)
        assert (label.code, label.err) == (0, "")
        zpl = run("paper", "label", str(number), "--zpl", "--to", to, "--out", tmp_path / "label.zpl", at)
        assert (zpl.code, "COD INR 1,047.90" in (tmp_path / "label.zpl").read_text()) == (0, True)
        made = run("paper", "invoice", str(number), "--to", to, "--seller", seller, "--out", tmp_path / "i.pdf", at)
        assert (made.code, made.err) == (0, "")
        nobody = run("paper", "label", "99999", "--out", tmp_path / "no.pdf", at)
        assert (nobody.code, "UNKNOWN_SHIPMENT" in nobody.err) == (1, True)
    assert list(codes(pages((tmp_path / "label.pdf").read_bytes())[0]).values()) == ["SWIF1"]
    (asked,) = codes(pages((tmp_path / "i.pdf").read_bytes())[0]).values()
    assert "am=1047.90" in asked
    assert run("export", "--data", tmp_path / "data", "--out", tmp_path / "history", "--json").code == 0
    today = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 5.5 * 3600))
    given = ("paper", "manifest", tmp_path / "history", "--carrier", "swift", "--out", tmp_path / "m.pdf")
    found = run(*given, "--day", today)
    assert (found.code, found.err) == (0, "")
    assert "SWIF1" in text_of((tmp_path / "m.pdf").read_bytes())
    assert run(*given, "--day", "2020-01-01").code == 2
    missing = run("paper", "manifest", tmp_path, "--carrier", "swift", "--out", tmp_path / "m.pdf", "--day", today)
    assert (missing.code, "allot export" in missing.err) == (2, True)
