"""GST invoices: what rule 46 asks is on them, figures and codes are right, and what would not hold is not printed."""

import re
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from allot.v1 import life_pb2
from engine.intake.gst_states import GST_STATES
from engine.intake.india import read_gst_states
from server.papers.given import PaperError
from server.papers.goods import Goods
from server.papers.gst import check_character, check_gstin
from server.papers.invoice import invoice_of, rate
from server.papers.invoice_pdf import invoice_pdf
from server.papers.parcel import Item, Parcel, Party
from tests.test_papers import OF_CODE_PAGE_1252, PARCEL, SELLER, SHIRT, TO, check_layout, codes, pages, text_of

BETWEEN = replace(PARCEL, tax_split=life_pb2.TAX_SPLIT_BETWEEN_REGIONS, postal_code="110001")
TO_DELHI = replace(TO, postal_code="110001", region="07")
NOBODY = Party()


def seller_of(state: str) -> Party:
    first = f"{state}ABCDE1234F1Z"
    return replace(SELLER, gstin=first + check_character(first))


def missing(pdf: bytes, *wanted: str) -> list[str]:
    said = text_of(pdf)
    return [one for one in wanted if one not in said]


# What is on it


def test_an_invoice_adds_up_and_its_code_asks_for_what_is_due():
    pdf = invoice_pdf(PARCEL, TO, SELLER)
    assert missing(
        pdf, "Invoice 29-0000000042", "Order A-1", "Shipment 1042 from BLR", "GSTIN 29ABCDE1234F1ZW", "Kala Shirts",
        "Plot 7", "Asha Rao", "Koramangala", "998.00", "24.95", "1,047.90", "49.00", "1.23", "1.22", "51.45",
        "1,047.00", "26.18", "26.17", "Total INR 1,099.35", "CGST", "SGST", "2.5%",
        "Place of supply: Karnataka (29)", "State: Karnataka (29)", "Whether tax is payable on reverse charge: No",
        "For Kala Shirts Pvt Ltd", "Authorised signatory", "To be collected on delivery: INR 1,099.35",
        "Or pay by UPI: kala@bank",
    ) == []  # fmt: skip
    (picture,) = pages(pdf)
    asked = urlsplit(next(iter(codes(picture).values())))
    assert (asked.scheme, asked.netloc) == ("upi", "pay")
    assert {name: value for name, (value,) in parse_qs(asked.query).items()} == {
        "pa": "kala@bank", "pn": "Kala Shirts Pvt Ltd", "am": "1099.35", "cu": "INR", "tn": "Order A-1",
        "tr": "29-0000000042",
    }  # fmt: skip


def test_its_date_is_that_of_its_number_in_india():
    assert missing(invoice_pdf(PARCEL, TO, SELLER), "Date 20 Oct 2025") == []  # 20:10 UTC on the 19th
    before = replace(PARCEL, invoiced_at_us=PARCEL.invoiced_at_us - 2 * 3_600_000_000)
    assert missing(invoice_pdf(before, TO, SELLER), "Date 19 Oct 2025") == []


def test_an_invoice_between_regions_with_nothing_to_collect():
    pdf = invoice_pdf(replace(BETWEEN, collect=0), TO_DELHI, replace(SELLER, upi=""))
    assert missing(pdf, "IGST", "5%", "49.90", "Place of supply: Delhi (07)", "Nothing is to be collected on delivery.",
                   "Total INR 1,099.35") == []  # fmt: skip
    assert missing(pdf, "CGST", "SGST", "Paid", "UPI") == ["CGST", "SGST", "Paid", "UPI"]
    assert codes(pages(pdf)[0]) == {}


def test_the_place_of_supply_is_looked_up_where_nobody_names_it():
    assert invoice_of(BETWEEN, NOBODY, SELLER).place_of_supply == "07"
    assert invoice_of(PARCEL, NOBODY, SELLER).place_of_supply == "29"
    assert invoice_of(BETWEEN, replace(TO, region="38"), SELLER).place_of_supply == "38"


@pytest.mark.parametrize("state", GST_STATES)
def test_the_half_of_a_union_territory_without_a_legislature_is_utgst(state: str):
    parcel = replace(PARCEL, invoice_number=f"{state}-0000000042")
    second = "UTGST" if state in ("04", "26", "31", "35", "38", "97") else "SGST"
    assert invoice_of(parcel, replace(TO, region=state), seller_of(state)).taxes == ("CGST", second)
    assert invoice_of(replace(parcel, tax_split=2), replace(TO, region="21" if state == "07" else "07"),
                      seller_of(state)).taxes == ("IGST",)  # fmt: skip


def test_postal_codes_lie_in_every_state():
    assert set(read_gst_states().values()) | {"97"} == set(GST_STATES)


def test_goods_have_the_names_and_codes_of_the_file_or_their_skus():
    parcel = replace(PARCEL, items=(SHIRT, replace(SHIRT, sku="MUG"), replace(SHIRT, sku="CAP")))
    goods = {"SHIRT-RED-XL": Goods("Red shirt, XL", "62052000"), "CAP": Goods(hsn="6505"), "OTHER": Goods("x", "7777")}
    pdf = invoice_pdf(parcel, TO, SELLER, goods)
    assert missing(pdf, "HSN", "Red shirt, XL", "62052000", "MUG", "CAP", "6505") == []
    assert missing(pdf, "SHIRT-RED-XL", "7777") == ["SHIRT-RED-XL", "7777"]
    assert missing(invoice_pdf(parcel, TO, SELLER), "HSN", "SHIRT-RED-XL") == ["HSN"]
    assert missing(invoice_pdf(parcel, TO, SELLER, {}), "HSN", "SHIRT-RED-XL") == []


@pytest.mark.parametrize(("value", "tax", "hundredths"), [
    (100_000, 18_000, 1800), (99_800, 4_990, 500), (4_900, 245, 500), (123, 6, 500), (20_000, 50, 25), (200, 3, 150),
    (30_000, 500, 167), (33_333 * 3, 17_999, 1800), (10**15, 18 * 10**13, 1800), (1_000, 0, 0), (0, 0, 0), (0, 5, 0),
    (100_000, 7_500, 750), (333, 60, 1800),
])  # fmt: skip
def test_a_rate_is_the_roundest_that_comes_to_the_tax(value: int, tax: int, hundredths: int):
    assert rate(tax, value) == hundredths


def test_rates_are_those_of_each_line_and_each_half():
    items = (Item("A", 1, 10_000, 900, 900), Item("B", 1, 20_000, 25, 25), Item("C", 1, 30_000, 250, 250),
             Item("D", 1, 100, 0, 0))  # fmt: skip
    lines = re.split(r"[\r\n]+", text_of(invoice_pdf(replace(PARCEL, items=items, collect=0), TO, SELLER)))
    halves = [sorted({word for word in line.split() if word.endswith("%")}) for line in lines if line[:2] in
              ("A ", "B ", "C ", "D ")]  # fmt: skip
    assert halves == [["9%"], ["0.125%"], ["0.835%"], ["0%"]]


@pytest.mark.parametrize(
    ("currency", "total"), [("JPY", "JPY 109,935"), ("KWD", "KWD 109.935"), ("USD", "USD 1,099.35")]
)
def test_an_invoice_in_another_currency_has_its_decimals_and_no_upi(currency: str, total: str):
    pdf = invoice_pdf(replace(PARCEL, currency=currency), TO, replace(SELLER, upi=""))
    assert missing(pdf, f"Total {total}", f"To be collected on delivery: {total}") == []
    assert missing(pdf, "INR", "UPI", ".00%") == ["INR", "UPI", ".00%"]
    assert codes(pages(pdf)[0]) == {}


def test_an_order_whose_record_was_moved_away_has_no_id():
    invoice = invoice_of(replace(PARCEL, order_id=""), TO, SELLER)
    assert "tn=Invoice%2029-0000000042" in invoice.upi_link
    assert missing(invoice_pdf(replace(PARCEL, order_id=""), TO, SELLER), "Order") == ["Order"]


# Its layout


@pytest.mark.parametrize(("lines", "of_cash", "of_none"), [
    (1, 1, 1), (23, 1, 1), (24, 2, 1), (27, 2, 1), (28, 2, 2), (29, 2, 2), (34, 2, 2), (35, 2, 2), (60, 3, 2),
    (500, 16, 15),
])  # fmt: skip
def test_an_invoice_of_any_length_keeps_within_its_pages_and_ends_once(lines: int, of_cash: int, of_none: int):
    items = tuple(Item(f"SKU-{at}-END", 1, 10_000, 900, 900) for at in range(lines))
    buyer = replace(TO, lines=tuple("abcde"), gstin=SELLER.gstin)
    parcel = replace(PARCEL, items=items, collect=11_800 * lines)
    for given, count in ((parcel, of_cash), (replace(parcel, collect=0), of_none)):
        pdf = invoice_pdf(given, buyer, replace(SELLER, lines=tuple("vwxyz")), {})
        check_layout(pdf, 40)
        said = text_of(pdf)
        assert [one.sku for one in items if one.sku not in said] == []
        assert (said.count("TAX INVOICE"), said.count(f"of {count}"), said.count("Authorised")) == (count, count, 1)
        assert (said.count("Total INR"), said.count("Sum")) == (1, 1)
        scanned = [codes(page) for page in pages(pdf)[-3:]] if lines < 500 else [{"QR": ""}][: bool(given.collect)]
        assert len([one for one in scanned if one]) == bool(given.collect)


@pytest.mark.parametrize("split", [life_pb2.TAX_SPLIT_WITHIN_REGION, life_pb2.TAX_SPLIT_BETWEEN_REGIONS])
def test_long_texts_and_great_amounts_run_over_nothing(split: life_pb2.TaxSplit):
    great = Item("W" * 64, 2**31, 10**15, 10**14, 10**14, 10**14, 10**13, 10**13)
    parcel = replace(
        PARCEL, number=2**63 - 1, order_id="W" * 64, node_id="N" * 64, collect=10**15, tax_split=split,
        items=(great,) * 2, invoice_number="29-0123456789012",
    )  # fmt: skip
    wide = replace(TO, name="W" * 60, lines=("M" * 60,) * 5, region="29" if split == 1 else "26", gstin=SELLER.gstin)
    seller = replace(SELLER, name="W" * 60, lines=("M" * 60,) * 5, upi="w" * 50 + "@mmmmmmmmm")
    pdf = invoice_pdf(parcel, wide, seller, {"W" * 64: Goods("M" * 200, "62052000")})
    check_layout(pdf, 40)
    assert missing(pdf, "10,000,000,000,000.00", "Total INR 26,400,000,000,000.00", "2,147,483,648", "…") == []


# What is not printed


@pytest.mark.parametrize(("change", "named"), [
    ({"shipped_at_us": 0}, "has not left"), ({"currency": ""}, "no prices"), ({"items": ()}, "moved away"),
    ({"tax_split": life_pb2.TAX_SPLIT_UNSPECIFIED}, "node BLR or of postal code 560034 .*allot node regions"),
    ({"invoice_number": ""}, "allot node regions"), ({"invoiced_at_us": 0}, "allot node regions"),
])  # fmt: skip
def test_a_shipment_that_owes_nothing_certain_has_no_invoice(change: dict, named: str):
    with pytest.raises(PaperError, match=f"shipment 1042.*{named}"):
        invoice_pdf(replace(PARCEL, **change), TO, SELLER)


@pytest.mark.parametrize(("change", "named"), [
    ({"name": ""}, "name, lines and gstin"), ({"lines": ()}, "name, lines and gstin"), ({"gstin": ""}, "and gstin"),
    ({"gstin": "29"}, "15 digits and capitals"), ({"gstin": "29abcde1234f1zw"}, "15 digits and capitals"),
    ({"gstin": "२9ABCDE1234F1ZW"}, "15 digits and capitals"), ({"gstin": "29ABCDE1234F1ZV"}, "last character"),
    ({"gstin": seller_of("99").gstin}, "99 is no GST state"), ({"upi": ""}, "upi"),
    ({"gstin": seller_of("27").gstin}, "of Maharashtra, and invoice 29-0000000042 of Karnataka"),
])  # fmt: skip
def test_a_seller_who_may_not_issue_it_is_refused(change: dict, named: str):
    with pytest.raises(PaperError, match=f"seller: .*{named}"):
        invoice_pdf(PARCEL, TO, replace(SELLER, **change))


def test_a_region_that_is_no_two_digits_is_not_compared_with_the_seller():
    assert invoice_of(replace(PARCEL, invoice_number="KA-0000000042"), TO, SELLER).taxes == ("CGST", "SGST")


def test_a_slip_in_a_gstin_is_found():
    for gstin in ("27AAPFU0939F1ZV", SELLER.gstin, seller_of("07").gstin):
        check_gstin("seller", gstin)
        for at in range(2, 15):
            for one in "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ".replace(gstin[at], ""):
                with pytest.raises(PaperError, match="last character"):
                    check_gstin("seller", gstin[:at] + one + gstin[at + 1 :])


def costing(paise: int) -> Parcel:
    return replace(PARCEL, items=(Item("A", 1, paise - 200, 100, 100),), collect=0)


def test_a_buyer_is_named_from_fifty_thousand_rupees_on():
    assert missing(invoice_pdf(costing(49_999_99), NOBODY, SELLER), "Sold to", "560034", "Karnataka (29)") == []
    dear, dollars = costing(50_000_00), replace(PARCEL, currency="USD")
    invoice_pdf(dear, TO, SELLER)
    for given, buyer in (
        (dear, NOBODY),
        (dear, replace(TO, lines=())),
        (dear, replace(TO, name="")),
        (dollars, NOBODY),
    ):
        with pytest.raises(PaperError, match=r"to: .* from INR 50,000\.00 on .*--to FILE"):
            invoice_pdf(given, buyer, SELLER)


def test_a_buyer_who_is_registered_has_a_name_an_address_and_a_number_that_checks():
    buyer = replace(TO, gstin="27AAPFU0939F1ZV")
    assert missing(invoice_pdf(PARCEL, buyer, SELLER), "GSTIN 27AAPFU0939F1ZV") == []
    for change, named in (({"gstin": "27AAPFU0939F1ZW"}, "last character"), ({"name": ""}, "name and lines")):
        with pytest.raises(PaperError, match=f"to: .*{named}"):
            invoice_pdf(PARCEL, replace(buyer, **change), SELLER)


@pytest.mark.parametrize(("parcel", "region", "named"), [
    (PARCEL, "07", "taxed within Karnataka"), (PARCEL, "99", "two digits of a GST state"),
    (PARCEL, "Karnataka", "two digits"), (BETWEEN, "29", "one that leaves Karnataka"),
    (replace(BETWEEN, postal_code="X1"), "", "one that leaves Karnataka"),
    (replace(BETWEEN, postal_code="560034"), "", "one that leaves Karnataka"),
])  # fmt: skip
def test_a_place_of_supply_that_contradicts_the_tax_is_refused(parcel: Parcel, region: str, named: str):
    with pytest.raises(PaperError, match=f"to: region: .*{named}"):
        invoice_pdf(parcel, replace(TO, region=region), SELLER)


@pytest.mark.parametrize("text", ["आशा राव", "Łukasz", "₹ 5"])
def test_what_the_font_does_not_have_is_refused_by_name(text: str):
    shirt = replace(SHIRT, sku=text)
    for parcel, buyer, seller, goods, named in (
        (PARCEL, replace(TO, name=text), SELLER, {}, "to: name"),
        (PARCEL, TO, replace(SELLER, lines=(text,)), {}, "seller: lines"),
        (replace(PARCEL, order_id=text), TO, SELLER, {}, "order_id"),
        (replace(PARCEL, items=(shirt,)), TO, SELLER, {}, "sku"),
        (PARCEL, TO, SELLER, {"SHIRT-RED-XL": Goods(text, "6205")}, "name in --goods"),
    ):
        with pytest.raises(PaperError, match=f"{named}.*the font has no .*write it in Latin letters"):
            invoice_pdf(parcel, buyer, seller, goods)
    invoice_pdf(replace(PARCEL, items=(shirt,)), TO, SELLER, {text: Goods("Shirt", "6205")})


def test_what_the_font_has_is_printed():
    for at in range(0, len(OF_CODE_PAGE_1252), 40):
        some = OF_CODE_PAGE_1252[at : at + 40].strip()
        assert missing(invoice_pdf(PARCEL, replace(TO, name=some), SELLER), some) == []
