"""The GST invoice of a shipment: what rule 46 of the CGST Rules, 2017, asks, checked, as it is printed.

What each line owes was settled when the shipment left, and its number was given then. server/papers/invoice_pdf.py puts
it on pages.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from allot.v1 import life_pb2
from engine.intake.gst_states import GST_STATES
from server.papers.given import PaperError, check_printable
from server.papers.goods import Goods
from server.papers.gst import check_gstin, taxes_within
from server.papers.parcel import Parcel, Party, amount

# Rule 46 (e): from there on it names who buys. Of another currency nobody here knows how many rupees it is.
BUYER_FROM_TOTAL = 50_000_00  # paise
_OF_STATE = re.compile("([0-9]{2})-.*")


@dataclass(frozen=True)
class Row:
    """One line of an invoice; amounts in minor units."""

    what: str
    hsn: str
    units: int
    value: int  # taxable
    tax: int  # central or integrated
    tax_2: int  # the state's half

    @property
    def total(self) -> int:
        """With tax."""
        return self.value + self.tax + self.tax_2


@dataclass(frozen=True)
class Invoice:
    """One that holds."""

    parcel: Parcel
    buyer: Party
    seller: Party
    rows: tuple[Row, ...]
    taxes: tuple[str, ...]  # CGST and the state's, or IGST
    place_of_supply: str  # two digits
    has_hsn: bool

    def money(self, minor: int) -> str:
        """An amount without its currency."""
        return amount(minor, self.parcel.currency)

    @property
    def upi_link(self) -> str:
        """What the QR code holds, by NPCI's UPI linking specification; empty where none is printed."""
        parcel, seller = self.parcel, self.seller
        if not parcel.collect or parcel.currency != "INR":
            return ""
        asked = {
            "pa": seller.upi, "pn": seller.name, "am": f"{parcel.collect // 100}.{parcel.collect % 100:02d}",
            "cu": "INR", "tn": f"Order {parcel.order_id}" if parcel.order_id else f"Invoice {parcel.invoice_number}",
            "tr": parcel.invoice_number,
        }  # fmt: skip
        return "upi://pay?" + urlencode(asked, quote_via=quote, safe="@")


def invoice_of(parcel: Parcel, buyer: Party, seller: Party, goods: Mapping[str, Goods] | None = None) -> Invoice:
    """goods: by SKU; None: lines have SKUs, and no HSN codes. Raises PaperError."""
    _check_shipment(parcel)
    _check_seller(parcel, seller)
    _check_buyer(parcel, buyer)
    within = parcel.tax_split == life_pb2.TAX_SPLIT_WITHIN_REGION
    place = _place_of_supply(parcel, buyer, seller)
    rows = (*_rows_of(parcel, goods or {}), *_shipping(parcel))
    assert parcel.total == sum(row.total for row in rows)
    check_printable((
        ("invoice_number", parcel.invoice_number), ("node_id", parcel.node_id), ("order_id", parcel.order_id),
        ("postal_code", parcel.postal_code),
        *buyer.texts("to"), *seller.texts("seller"), *(("sku, or its name in --goods", row.what) for row in rows),
    ))  # fmt: skip
    taxes = taxes_within(place) if within else ("IGST",)
    return Invoice(parcel, buyer, seller, rows, taxes, place, goods is not None)


def _check_shipment(parcel: Parcel) -> None:
    shipment = f"shipment {parcel.number}"
    if not parcel.shipped_at_us:
        raise PaperError(f"{shipment} has not left: what it owes is settled, and its invoice numbered, when it does")
    if not parcel.currency:
        raise PaperError(f"{shipment}: its order has no prices, so it has no invoice: place orders with prices")
    split_known = parcel.tax_split != life_pb2.TAX_SPLIT_UNSPECIFIED
    if not parcel.invoice_number or not parcel.invoiced_at_us or not split_known:
        raise PaperError(
            f"{shipment}: when it left the tax region of node {parcel.node_id} or of postal code"
            f" {parcel.postal_code} was not known, so it has no invoice: make them known, by allot node regions, before"
            " the next one leaves"
        )
    if not parcel.items:
        raise PaperError(f"{shipment}: what was in it was moved away: an invoice is printed before that")


def _check_seller(parcel: Parcel, seller: Party) -> None:
    if not seller.name or not seller.lines or not seller.gstin:
        raise PaperError("seller: an invoice needs the seller's name, lines and gstin: give them in --seller FILE")
    check_gstin("seller", seller.gstin)
    numbered = _OF_STATE.fullmatch(parcel.invoice_number)
    if numbered and numbered[1] != seller.gstin[:2]:
        raise PaperError(
            f"seller: gstin: {seller.gstin!r} is of {GST_STATES[seller.gstin[:2]]}, and invoice {parcel.invoice_number}"
            f" of {GST_STATES.get(numbered[1], 'no state')}: give the registration of the state that the shipment left"
        )
    if parcel.collect and parcel.currency == "INR" and not seller.upi:
        raise PaperError("seller: upi: cash is due on delivery, and the QR code needs the seller's UPI address")


def _check_buyer(parcel: Parcel, buyer: Party) -> None:
    if buyer.gstin:
        check_gstin("to", buyer.gstin)
    if buyer.name and buyer.lines:
        return
    if buyer.gstin:
        raise PaperError("to: an invoice to a gstin needs the buyer's name and lines: give them in --to FILE")
    if parcel.currency != "INR" or parcel.total >= BUYER_FROM_TOTAL:
        least = amount(BUYER_FROM_TOTAL, "INR")
        raise PaperError(
            f"to: an invoice of {parcel.currency} {amount(parcel.total, parcel.currency)} needs the buyer's name and"
            f" lines, as every one from INR {least} on does: give them in --to FILE"
        )


def _place_of_supply(parcel: Parcel, buyer: Party, seller: Party) -> str:
    """The two digits of the state that it goes to: the seller's, the one given, or else that of the postal code."""
    home = seller.gstin[:2]
    if buyer.region and buyer.region not in GST_STATES:
        raise PaperError(f"to: region: {buyer.region!r}: give the two digits of a GST state, as 29")
    if parcel.tax_split == life_pb2.TAX_SPLIT_WITHIN_REGION:
        if buyer.region not in ("", home):
            raise PaperError(
                f"to: region: {buyer.region!r}: shipment {parcel.number} was taxed within {GST_STATES[home]} ({home}):"
                f" give {home}, or none"
            )
        return home
    place = buyer.region or _state_of(parcel.postal_code)
    if place in ("", home):
        raise PaperError(
            f"to: region: {place!r}: shipment {parcel.number} was taxed as one that leaves {GST_STATES[home]} ({home}):"
            " give the two digits of the state that it goes to in --to FILE"
        )
    return place


def _state_of(postal_code: str) -> str:
    from engine.intake.india import read_gst_states

    return read_gst_states().get(postal_code, "")


def _rows_of(parcel: Parcel, goods: Mapping[str, Goods]) -> list[Row]:
    found = []
    for item in parcel.items:
        told = goods.get(item.sku, Goods())
        found.append(Row(told.name or item.sku, told.hsn, item.units, item.goods, item.tax, item.tax_2))
    return found


def _shipping(parcel: Parcel) -> list[Row]:
    fee = sum(item.shipping for item in parcel.items)
    tax, tax_2 = (sum(item.shipping_tax for item in parcel.items), sum(item.shipping_tax_2 for item in parcel.items))
    return [Row("Shipping", "", 1, fee, tax, tax_2)] if fee or tax or tax_2 else []


def rate(tax: int, value: int) -> int:
    """Hundredths of a percent: the roundest that comes to this tax of a value, to the minor unit."""
    if value <= 0:
        return 0
    for step in (100, 10, 1):
        found = (2 * 10_000 * tax + step * value) // (2 * step * value) * step
        if abs(value * found - 10_000 * tax) < 10_000:
            break
    return found
