"""What methods of payment can do, gateway by gateway, as data: a payment is made with it, and keeps it.

Where a method cannot capture a part, all is captured and the difference given back; where it captures at once, nothing
is ever authorised. Two gateways of one kind are told apart by what follows a dash in their names; one of a kind that is
not named here can what `OTHERS` say.
"""

from typing import NamedTuple

from kernels.life import PaymentFlag, PayMethod


class Capability(NamedTuple):
    """What a method can do."""

    authorises: bool  # holds the money first
    parts: bool  # captures less than was authorised
    several: bool  # captures more than once
    to_source: bool  # gives back by the way it came
    authorised_days: int  # how long money is held; 0: not at all
    saved: bool = True  # is charged without the customer, once he has saved it


_AT_ONCE = Capability(False, False, False, True, 0)
OTHERS: dict[PayMethod, Capability] = {
    PayMethod.CARD: Capability(True, True, False, True, 7),
    PayMethod.UPI: _AT_ONCE,
    PayMethod.NET_BANKING: _AT_ONCE,
    PayMethod.WALLET: _AT_ONCE,
    PayMethod.CASH_ON_DELIVERY: Capability(False, True, True, False, 0, saved=False),
    PayMethod.CHANNEL: Capability(False, True, True, False, 0, saved=False),
}
GATEWAYS: dict[str, dict[PayMethod, Capability]] = {
    # A card's capture has to be of all that was authorised, which an order may have held for five days at most
    # (razorpay.com/docs, on capturing payments). What a customer saved is charged in his own checkout alone.
    "razorpay": {
        method: can._replace(saved=False)
        for method, can in (OTHERS | {PayMethod.CARD: Capability(True, False, False, True, 5)}).items()
    },
    # A capture may be of less, once; the rest is let go of, and a card holds for seven days by default
    # (docs.stripe.com, on placing a hold).
    "stripe": OTHERS,
    "local": OTHERS,
}


def kind_of(gateway: str) -> str:
    """What kind of gateway one is, as its name tells: razorpay-shop is a razorpay."""
    return gateway.partition("-")[0]


def capability(gateway: str, method: PayMethod) -> Capability:
    """What a method can do at a gateway."""
    return GATEWAYS.get(kind_of(gateway), OTHERS)[method]


def flags_of(gateway: str, method: PayMethod) -> int:
    """The flags of a payment: its method and what it can do."""
    can = capability(gateway, method)
    flags = int(method)
    for flag, holds in (
        (PaymentFlag.PARTS, can.parts), (PaymentFlag.SEVERAL, can.several), (PaymentFlag.TO_SOURCE, can.to_source),
    ):  # fmt: skip
        flags |= flag if holds else 0
    return flags
