"""From plain Python to the messages of the contract: rows, moments, names of enums, ids. Pure but for new ids and the
clock of `hold`; both clients build their requests here, once a call, so that a repeat sends the same.
"""

import time
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Required, TypeAlias, TypedDict, TypeVar, Unpack, cast

import grpc
from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from allot.v1 import catalogue_pb2, events_pb2, orders_pb2, promises_pb2, reservations_pb2, stock_pb2, types_pb2
from allot_client.errors import Unknown

M = TypeVar("M", bound=Message)
Row: TypeAlias = Message | Mapping[str, Any] | tuple[Any, ...]
Moment: TypeAlias = datetime | int  # with a time zone, or UTC microseconds since 1970
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class OrderFields(TypedDict, total=False):
    """An order, as keyword arguments."""

    channel: Required[str]
    order_id: Required[str]  # the idempotency key in the channel
    postal_code: Required[str]
    lines: Required[Iterable[Row]]  # (sku, quantity), a mapping of LineDraft's fields, or a LineDraft
    placed_at: Moment | None
    currency: str  # ISO 4217
    payment_method: str | int  # such as "card"
    service_level: str
    ship_by: Moment | None
    deliver_by: Moment | None
    customer: str  # an opaque reference
    nodes_max: int  # that may give to it together; 0: any number
    ship_complete: bool  # all units or none
    pay_by: Moment | None  # until when it must be paid
    discount: int  # minor units, beside those of its lines
    shipping_fee: int  # minor units, before tax
    shipping_fee_tax: int  # minor units


def new_request_id(given: str) -> str:
    """The id of the caller, or a new one."""
    return given or str(uuid.uuid4())


def micros(moment: Moment | None, field: str) -> int:
    """UTC microseconds since 1970; 0 for None."""
    if moment is None:
        return 0
    if isinstance(moment, int):
        return moment
    if moment.tzinfo is None:
        raise ValueError(f"{field}: {moment.isoformat()} has no time zone: give one, such as tzinfo=timezone.utc")
    return (moment - _EPOCH) // _MICROSECOND


def micro_units(fee: float) -> int:
    """Millionths of a minor unit, rounded."""
    return round(fee * 1_000_000)


def enum_number(enum: EnumDescriptor, value: str | int, field: str) -> int:
    """The number of a name such as "back_order", short or as in the contract; "" is unspecified."""
    if isinstance(value, int):
        return value
    prefix = _prefix(enum)
    name = value.strip().upper().replace("-", "_")
    if not name:
        return 0
    found = enum.values_by_name.get(prefix + name) or enum.values_by_name.get(name)
    if found is None:
        names = ", ".join(known.name.removeprefix(prefix).lower() for known in enum.values if known.number)
        raise ValueError(f"{field}: {value!r} is not known: give one of {names}")
    return int(found.number)


def enum_name(enum: EnumDescriptor, number: int) -> str:
    """The short name of a number: ALLOCATED for OUTCOME_ALLOCATED; the number itself where it is newer than this."""
    known = enum.values_by_number.get(number)
    return str(number) if known is None else known.name.removeprefix(_prefix(enum))


def _prefix(enum: EnumDescriptor) -> str:
    return enum.values_by_number[0].name.removesuffix("UNSPECIFIED")


def message(kind: type[M], row: Row, where: str) -> M:
    """A message, from itself, from a mapping of its fields, or from a tuple of its first fields in their order."""
    if isinstance(row, kind):
        return row
    if isinstance(row, Message):
        raise ValueError(f"{where}: is a {type(row).__name__}: give a {kind.__name__}")
    descriptors = cast("list[FieldDescriptor]", list(kind.DESCRIPTOR.fields))
    if isinstance(row, Mapping):
        given = {name: value for name, value in row.items() if value is not None}
    elif isinstance(row, tuple | list):
        if len(row) > len(descriptors):
            raise ValueError(f"{where}: has {len(row)} values: {kind.__name__} has {len(descriptors)} fields")
        given = {field.name: value for field, value in zip(descriptors, row, strict=False) if value is not None}
    else:
        raise ValueError(f"{where}: is {row!r}: give a tuple, a mapping or a {kind.__name__}")
    built = kind()
    by_name = {field.name: field for field in descriptors}
    for name, value in given.items():
        field = by_name.get(name)
        if field is None:
            raise ValueError(f"{where}.{name}: there is no such field: {', '.join(by_name)}")
        _set(built, field, value, f"{where}.{name}")
    return built


def _set(built: Message, field: FieldDescriptor, value: Any, where: str) -> None:
    try:
        if field.is_repeated:
            getattr(built, field.name).extend(value)
        elif field.message_type is not None:
            nested = message(type(getattr(built, field.name)), value, where)
            getattr(built, field.name).CopyFrom(nested)
        elif field.enum_type is not None:
            setattr(built, field.name, enum_number(field.enum_type, value, where))
        else:
            setattr(built, field.name, value)
    except (TypeError, OverflowError) as error:
        raise ValueError(f"{where}: {value!r} will not do: {error}") from None
    except ValueError as error:
        if str(error).startswith(where):
            raise
        raise ValueError(f"{where}: {value!r} will not do: {error}") from None


def texts(values: Iterable[str], field: str) -> list[str]:
    """A list of texts. One text is no list of its characters."""
    if isinstance(values, str):
        raise ValueError(f"{field}: is the text {values!r}: give a list of texts")
    return list(values)


def messages(kind: type[M], rows: Iterable[Row], where: str) -> list[M]:
    """One message a row."""
    return [message(kind, row, f"{where}[{number}]") for number, row in enumerate(rows)]


def order(**fields: Unpack[OrderFields]) -> types_pb2.OrderDraft:
    """An order for `place_orders`: see `OrderFields`. Raises ValueError, which names the field."""
    given = cast(dict[str, Any], dict(fields))
    missing = sorted(name for name in OrderFields.__required_keys__ if name not in given)
    if missing:
        raise ValueError(f"order: {', '.join(missing)}: not given")
    for name in ("placed_at", "ship_by", "deliver_by", "pay_by"):
        if name in given:
            given[f"{name}_us"] = micros(given.pop(name), f"order.{name}")
    lines = messages(types_pb2.LineDraft, given.pop("lines"), "order.lines")
    draft = message(types_pb2.OrderDraft, given, "order")
    draft.lines.extend(lines)
    return draft


def promise(
    channel: str, postal_code: str, lines: Iterable[Row], cash_on_delivery: bool
) -> promises_pb2.PromiseRequest:
    """A cart to promise."""
    return promises_pb2.PromiseRequest(
        channel=channel,
        postal_code=postal_code,
        lines=messages(promises_pb2.CartLine, lines, "lines"),
        cash_on_delivery=cash_on_delivery,
    )


def reserve(
    hold: timedelta | None, expires_at: Moment | None, draft: types_pb2.OrderDraft
) -> reservations_pb2.ReserveRequest:
    """The end of the hold is fixed here: a repeat of the call sends the same."""
    if (hold is None) == (expires_at is None):
        raise ValueError("hold and expires_at: give one of them")
    if hold is not None:
        if hold <= timedelta(0):
            raise ValueError(f"hold: {hold}: give a time above 0")
        end = time.time_ns() // 1000 + hold // _MICROSECOND
    else:
        end = micros(expires_at, "expires_at")
    return reservations_pb2.ReserveRequest(order=draft, expires_at_us=end)


def count_stock(rows: Iterable[Row], source: str, counted_at: Moment, request_id: str) -> stock_pb2.CountStockRequest:
    """A statement of what is on hand."""
    return stock_pb2.CountStockRequest(
        request_id=new_request_id(request_id),
        rows=messages(stock_pb2.StockRow, rows, "rows"),
        source=source,
        counted_at_us=micros(counted_at, "counted_at"),
    )


def put_supply(rows: Iterable[Row], request_id: str) -> stock_pb2.PutSupplyRequest:
    """What is expected from now on."""
    return stock_pb2.PutSupplyRequest(
        request_id=new_request_id(request_id),
        rows=[_supply_row(row, f"rows[{number}]") for number, row in enumerate(rows)],
    )


def _supply_row(row: Row, where: str) -> stock_pb2.SupplyRow:
    if isinstance(row, tuple | list) and len(row) > 3:
        row = (*row[:3], micros(row[3], f"{where}.due_at"), *row[4:])
    elif isinstance(row, Mapping) and "due_at" in row:
        row = {**row, "due_at_us": micros(row["due_at"], f"{where}.due_at")}
        del row["due_at"]
    return message(stock_pb2.SupplyRow, row, where)


def put_channel(
    channel: str, node_ids: Iterable[str], priority: int, on_short: str | int, no_split: bool, policy: Row | None,
    preferred_node_ids: Iterable[str], excluded_node_ids: Iterable[str], closed: bool, request_id: str,
) -> catalogue_pb2.PutChannelRequest:  # fmt: skip
    """A channel, whole."""
    given = {
        "channel": channel,
        "node_ids": texts(node_ids, "node_ids"),
        "priority": priority,
        "on_short": on_short,
        "no_split": no_split,
        "policy": policy,
        "preferred_node_ids": texts(preferred_node_ids, "preferred_node_ids"),
        "excluded_node_ids": texts(excluded_node_ids, "excluded_node_ids"),
        "closed": closed,
    }
    return catalogue_pb2.PutChannelRequest(
        request_id=new_request_id(request_id), channel=message(catalogue_pb2.Channel, given, "channel")
    )


def close_channel(
    channel: str, found: catalogue_pb2.Channel | None, request_id: str
) -> catalogue_pb2.PutChannelRequest:
    """A channel as it was listed, but closed. Raises Unknown where it was not."""
    if found is None:
        message = f"channel: {channel!r} is not among those that may be listed: add it by put_channel"
        raise Unknown(grpc.StatusCode.NOT_FOUND, message, "UNKNOWN_CHANNEL", "channel")
    request = catalogue_pb2.PutChannelRequest(request_id=new_request_id(request_id), channel=found)
    request.channel.closed = True
    return request


def list_orders(channel: str, state: str | int, at_least_sequence: int, page_size: int) -> orders_pb2.ListOrdersRequest:
    """The first page."""
    number = enum_number(types_pb2.OrderState.DESCRIPTOR, state, "state")
    return orders_pb2.ListOrdersRequest(
        channel=channel,
        state=cast(Any, number),
        at_least_sequence=at_least_sequence,
        page_size=page_size,
    )


def stream_events(
    after_event_id: str, only_new: bool, kinds: Iterable[str | int], once: bool
) -> events_pb2.StreamEventsRequest:
    """Where to begin, and what."""
    numbers = [enum_number(events_pb2.EventKind.DESCRIPTOR, kind, "kinds") for kind in kinds]
    return events_pb2.StreamEventsRequest(
        after_event_id=after_event_id, only_new=only_new, kinds=cast(Any, numbers), once=once
    )
