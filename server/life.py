"""Payments, refunds, shipments and returns as messages, and the public tokens that track shipments.

A tracking token is the shipment's number with a keyed hash of it: it needs no table, and nobody guesses one.
"""

import base64
import binascii
import hashlib
import hmac
from typing import Any

from allot.v1 import life_pb2 as pb
from engine.life_reading import BalanceNow, DocumentNow, LifeNow
from engine.outcomes import Namespace
from kernels.columns import NO_NODE, NONE
from kernels.life import INVOICE_BITS, METHOD_BITS, DocumentKind, PayMethod, ReturnFlag
from server.lookup import Lookup

_MAC_BYTES = 16
_REGION_CHARACTERS_MAX = 5  # of 16 of an invoice's number


def hide_from_customers(life: pb.OrderLife) -> None:
    """Takes out what is the shop's own business: who did something, and what a carrier asks."""
    for told in life.timeline:
        told.actor = ""
        if told.what == "BOOK":
            told.amount = 0
    for shipment in life.shipments:
        shipment.cost = 0


class LifeMessages:
    """Makes messages of one engine's documents."""

    def __init__(self, lookup: Lookup, names: Any, secret: bytes) -> None:
        self._lookup, self._names = lookup, names
        self._key = hashlib.blake2b(secret, digest_size=32, person=b"allot tracking").digest()

    def life(self, now: LifeNow) -> pb.OrderLife:
        """All of an order's, but for its time line."""
        message = pb.OrderLife()
        if now.balance is not None:
            message.balance.CopyFrom(self.balance(now.balance))
        for document in now.documents:
            if document.kind is DocumentKind.PAYMENT:
                message.payments.append(self.payment(document))
            elif document.kind is DocumentKind.REFUND:
                message.refunds.append(self.refund(document))
            elif document.kind is DocumentKind.SHIPMENT:
                message.shipments.append(self.shipment(document))
            else:
                message.returns.append(self.returned(document))
        return message

    def balance(self, now: BalanceNow) -> pb.Balance:
        """What an order owes."""
        return pb.Balance(
            currency=self.word(now.currency), to_come=now.to_come, charged=now.charged, captured=now.captured,
            refunded=now.refunded, pay_by_us=now.pay_by,
        )  # fmt: skip

    def payment(self, now: DocumentNow) -> pb.Payment:
        """One payment."""
        amount, authorised, capturing, captured, refunding, refunded, until, _ = now.figures
        method: Any = now.flags & METHOD_BITS
        method = method if method <= PayMethod.CHANNEL else 0
        state: Any = now.state
        return pb.Payment(
            number=now.number, state=state, method=method,
            gateway=self.word(now.how), amount=amount, authorised=authorised, capturing=capturing, captured=captured,
            refunding=refunding, refunded=refunded, authorised_until_us=until, payment_id=now.id,
            reference=now.reference,
        )  # fmt: skip

    def refund(self, now: DocumentNow) -> pb.Refund:
        """One refund."""
        state: Any = now.state
        to: Any = now.flags + 1
        return pb.Refund(number=now.number, state=state, to=to, amount=now.figures[0], payment_number=now.of_number)

    def shipment(self, now: DocumentNow) -> pb.Shipment:
        """One shipment."""
        collect, cost, due_at, shipped_at, delivered_at, scanned_at, invoice, invoiced_at = now.figures
        state: Any = now.state
        split: Any = now.flags
        message = pb.Shipment(
            number=now.number, state=state, node_id=self._node(now.node), carrier=self.word(now.how), collect=collect,
            cost=cost, due_at_us=due_at, shipped_at_us=shipped_at, delivered_at_us=delivered_at,
            scanned_at_us=scanned_at, tax_split=split,
            tracking_token=self.token_of(now.number), shipment_id=now.id, reference=now.reference,
            invoice_number=self._invoice_number(invoice), invoiced_at_us=invoiced_at if invoice >> INVOICE_BITS else 0,
        )  # fmt: skip
        for item in now.items:
            goods, tax, tax_2, shipping, shipping_tax, shipping_tax_2 = item.amounts
            message.items.add(
                line=item.line, sku=self._names[Namespace.SKU].text(item.sku), quantity=item.units,
                charged_quantity=item.left, goods=goods, tax=tax, tax_2=tax_2, shipping=shipping,
                shipping_tax=shipping_tax, shipping_tax_2=shipping_tax_2,
            )  # fmt: skip
        return message

    def returned(self, now: DocumentNow) -> pb.Return:
        """One return."""
        units, received, accepted, turned_down, credited, due_by, *_ = now.figures
        state: Any = now.state
        kind: Any = (now.flags & 3) + 1
        condition: Any = ((now.flags >> 4) & 7) + 1
        return pb.Return(
            number=now.number, state=state, kind=kind, reason=self.word(now.how), condition=condition,
            as_credit=bool(now.flags & ReturnFlag.AS_CREDIT), line=now.line, quantity=units, received=received,
            accepted=accepted, turned_down=turned_down, credited=credited, due_by_us=due_by,
            shipment_number=now.of_number, node_id=self._node(now.node), return_id=now.id,
        )  # fmt: skip

    def word(self, index: int) -> str:
        """The text of a word; empty for none."""
        return "" if index == NONE else self._lookup.texts(Namespace.WORD)[index]

    def _invoice_number(self, invoice: int) -> str:
        """The region and the number in it; empty where there is no invoice, or no region."""
        series, number = invoice >> INVOICE_BITS, invoice & ((1 << INVOICE_BITS) - 1)
        if series == 0:
            return ""
        region = self.word(series - 1)
        return f"{region if len(region) <= _REGION_CHARACTERS_MAX else f'R{series}'}-{number:010d}"

    def _node(self, index: int) -> str:
        return "" if index == NO_NODE else self._lookup.texts(Namespace.NODE)[index]

    # Tracking

    def token_of(self, number: int) -> str:
        """The public token of a shipment."""
        plain = number.to_bytes(8, "big")
        return base64.urlsafe_b64encode(plain + self._mac(plain)).decode().rstrip("=")

    def number_of(self, token: str) -> int:
        """The shipment of a token; 0: nobody gave it."""
        try:
            raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return 0
        if len(raw) != 8 + _MAC_BYTES or not hmac.compare_digest(raw[8:], self._mac(raw[:8])):
            return 0
        number = int.from_bytes(raw[:8], "big")
        return number if self.token_of(number) == token else 0  # its last character has bits that mean nothing

    def _mac(self, plain: bytes) -> bytes:
        return hashlib.blake2b(plain, key=self._key, digest_size=_MAC_BYTES).digest()
