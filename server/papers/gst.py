"""The goods and services tax of India (GST): what its halves are called, and the numbers of who is registered."""

from engine.intake.gst_states import GST_STATES
from server.papers.given import PaperError

# Without a legislature: there the half that is the state's is UTGST (Union Territory GST Act, 2017, section 2).
_UNION_TERRITORIES = frozenset(("04", "26", "31", "35", "38", "97"))
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def taxes_within(state: str) -> tuple[str, str]:
    """What the two halves of the tax within a state are called."""
    return "CGST", "UTGST" if state in _UNION_TERRITORIES else "SGST"


def check_character(first: str) -> str:
    """The 15th character of a GSTIN: Luhn's algorithm to the base of 36. first: the 14 before it."""
    total = 0
    for at, one in enumerate(first):
        value = _DIGITS.index(one) * (1 + at % 2)
        total += value // 36 + value % 36
    return _DIGITS[-total % 36]


def check_gstin(whose: str, gstin: str) -> None:
    """Raises PaperError."""
    given = f"{whose}: gstin: {gstin!r}"
    if len(gstin) != 15 or not set(gstin) <= set(_DIGITS):
        raise PaperError(f"{given}: give 15 digits and capitals")
    if gstin[:2] not in GST_STATES:
        raise PaperError(f"{given}: {gstin[:2]} is no GST state: copy it from the certificate of registration")
    if gstin[14] != check_character(gstin[:14]):
        raise PaperError(
            f"{given}: its last character, a check of the others, does not fit: copy it from the certificate of"
            " registration"
        )
