"""Values of messages, one fault after another; replies of the engine as statuses; page tokens."""

import grpc
import pytest

from engine.outcomes import Reply
from server.errors import Rejection
from server.paging import page_size, position_of, token_of
from server.replies import RESULTS, check_reply, rejection_of
from server.validation import values
from server.validation.orders import HOLD_MICROSECONDS_MAX, check_hold


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "VALUE_MISSING"), (" \t", "VALUE_MISSING"), ("x" * 9, "TOO_LONG"), ("a\x00b", "BAD_CHARACTER"),
        ("a\nb", "BAD_CHARACTER"), ("a\x85b", "BAD_CHARACTER"), ("a\ud800b", "BAD_CHARACTER"),
    ],
)  # fmt: skip
def test_a_text_that_will_not_do_is_refused_with_its_field(value: str, reason: str) -> None:
    with pytest.raises(Rejection) as one:
        values.text("lines[0].sku", value, 8)
    assert (one.value.code, one.value.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    assert one.value.field == "lines[0].sku"
    assert "lines[0].sku" in one.value.message
    with pytest.raises(Rejection) as column:
        values.texts("skus[{}]".format, ["good", value], 8)
    assert (column.value.reason, column.value.field) == (reason, "skus[1]")


@pytest.mark.parametrize("value", ["x", "x" * 8, "नमस्ते", "a b", "a\u00a0b", "e\u0301"])
def test_a_text_that_will_do_comes_back_as_it_is(value: str) -> None:
    assert values.text("sku", value, 8) == value
    assert values.texts("skus[{}]".format, [value], 8).to_pylist() == [value]


def test_an_optional_text_may_be_empty() -> None:
    assert values.text("customer", "", 8, needed=False) == ""
    with pytest.raises(Rejection):
        values.text("customer", "\x00", 8, needed=False)


def test_numbers_have_two_ends() -> None:
    assert [values.number("quantity", value, 1, 5) for value in (1, 5)] == [1, 5]
    for value in (0, 6, -(1 << 63)):
        with pytest.raises(Rejection, match=r"quantity: -?\d+: give a number from 1 to 5"):
            values.number("quantity", value, 1, 5)


def test_times_are_microseconds_or_not_told() -> None:
    assert values.microseconds("ship_by_us", 0, needed=False) == 0
    assert values.microseconds("ship_by_us", values.MICROSECONDS_MAX) == values.MICROSECONDS_MAX
    for value, needed in ((-1, False), (values.MICROSECONDS_MAX + 1, False), (0, True)):
        with pytest.raises(Rejection, match="ship_by_us"):
            values.microseconds("ship_by_us", value, needed)


def test_rows_and_texts_given_twice() -> None:
    for count in (0, 4):
        with pytest.raises(Rejection, match="nodes"):
            values.rows("nodes", count, 3)
    column = values.texts("nodes[{}].node_id".format, ["a", "b", "a"], 8)
    with pytest.raises(Rejection) as refused:
        values.distinct("nodes[{}].node_id".format, column)
    assert (refused.value.field, refused.value.reason) == ("nodes[2].node_id", "GIVEN_TWICE")


def test_a_long_value_is_shown_in_short() -> None:
    with pytest.raises(Rejection) as refused:
        values.text("sku", "x" * 10_000, 8)
    assert len(refused.value.message) < 300


@pytest.mark.parametrize("reply", Reply)
def test_every_reply_is_a_result_or_a_status(reply: Reply) -> None:
    rejection = rejection_of(reply)
    assert (rejection is None) == (reply in RESULTS)
    if rejection is not None:
        assert rejection.reason == reply.name
        assert rejection.message.startswith(rejection.field + ": ")
        assert rejection.status().code is rejection.code
        with pytest.raises(Rejection):
            check_reply(reply)


def test_a_conflict_names_the_key() -> None:
    rejection = rejection_of(Reply.KEY_CONFLICT, key_field="order.order_id")
    assert rejection is not None
    assert (rejection.code, rejection.field) == (grpc.StatusCode.ALREADY_EXISTS, "order.order_id")


def test_page_tokens_belong_to_their_list() -> None:
    token = token_of("stock node-1", 1 << 40)
    assert position_of("stock node-1", token) == 1 << 40
    assert position_of("stock node-1", "") is None
    assert position_of("orders", token_of("orders", -77)) == -77
    for listing, given in (("stock node-2", token), ("stock node-1", token[:-2]), ("stock node-1", "x"), ("", "é")):
        with pytest.raises(Rejection) as refused:
            position_of(listing, given)
        assert refused.value.reason == "BAD_PAGE_TOKEN"


def test_page_sizes() -> None:
    assert [page_size(value) for value in (0, 1, 1000)] == [100, 1, 1000]
    with pytest.raises(Rejection):
        page_size(1001)


def test_a_hold_ends_thirty_days_ahead_at_most():
    now = 1_800_000_000_000_000
    check_hold(now + HOLD_MICROSECONDS_MAX, now)
    check_hold(1, now)  # of a repeat: its time is over
    with pytest.raises(Rejection) as refused:
        check_hold(now + HOLD_MICROSECONDS_MAX + 1, now)
    assert (refused.value.reason, refused.value.field) == ("OUT_OF_RANGE", "expires_at_us")
