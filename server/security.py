"""Who may call what: TLS, tokens with roles, and what a role may call. The guard asks before a service sees a call.

On loopback without tokens everyone is an operator. Any other address needs both TLS and tokens, or nothing is served.
Tokens are random, 256 bits; their file holds SHA-256 of each, so that whoever reads the file cannot call.
"""

import hashlib
import os
import re
import secrets
import ssl
import time
import tomllib
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import grpc

from server.config import Settings, SettingsError, parse_address
from server.customers import PREFIX, read_customer_token, read_key
from server.errors import Rejection

RELOAD_SECONDS_MIN = 1.0  # a changed tokens file counts after so long at most
TOKEN_CHARACTERS_MAX = 256
NAME_CHARACTERS_MAX = 64
CHANNEL_CHARACTERS_MAX = 32


class Role(StrEnum):
    """What a token is for."""

    SHOP = "shop"
    CHANNEL = "channel"
    WAREHOUSE = "warehouse"
    WORKER = "worker"  # what speaks with gateways and carriers, and takes what they tell
    OPERATOR = "operator"
    CUSTOMER = "customer"  # signed by a shop, never in the tokens file


_KEPT_ROLES = tuple(role for role in Role if role is not Role.CUSTOMER)  # those of the tokens file
_BOUND_ROLES = (Role.SHOP, Role.CHANNEL)  # a token of these may be for one channel alone


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: the name of the token, its role, the channel that it is bound to (empty: any), and the customer whose
    orders alone it is for (empty: any)."""

    name: str
    role: Role
    channel: str = ""
    customer: str = ""


NOBODY_ASKED = Caller("loopback", Role.OPERATOR)  # without tokens
ANYONE = Caller("anyone", Role.OPERATOR)  # of calls that are open to all
_caller: ContextVar[Caller] = ContextVar("caller", default=NOBODY_ASKED)


def current_caller() -> Caller:
    """Who makes the call that this task answers."""
    return _caller.get()


set_caller = _caller.set


class Access(NamedTuple):
    """What one RPC asks of its caller."""

    roles: frozenset[Role]
    channel: str = ""  # path in the request to the channels that it is about; a bound token names its own alone
    shows: str = ""  # path in the answer to rows of channels; a bound token sees its own alone
    any_channel: bool = False  # tells of every channel, so a bound token may not call it
    is_open: bool = False  # needs no token


def _for(*roles: Role, channel: str = "", shows: str = "", any_channel: bool = False) -> Access:
    return Access(frozenset({*roles, Role.OPERATOR}), channel, shows, any_channel)


_SHOP, _CHANNEL, _WAREHOUSE, _CUSTOMER, _WORKER = Role.SHOP, Role.CHANNEL, Role.WAREHOUSE, Role.CUSTOMER, Role.WORKER
_EVERYONE = Access(frozenset(Role) - {Role.CUSTOMER})

ACCESS: Mapping[str, Access] = {
    "allot.v1.OrderService/PlaceOrder": _for(_SHOP, channel="order.channel"),
    "allot.v1.OrderService/PlaceOrders": _for(_SHOP, channel="order.channel"),
    "allot.v1.OrderService/AllocateBatches": _for(_SHOP),  # the service compares the column `channel`
    "allot.v1.OrderService/CancelOrder": _for(_SHOP, _WAREHOUSE, _CUSTOMER, channel="channel"),
    "allot.v1.OrderService/ReallocateOrders": _for(),
    "allot.v1.OrderService/ReevaluateOrders": _for(),
    "allot.v1.OrderService/GetOrder": _for(_SHOP, _WAREHOUSE, _CUSTOMER, channel="channel"),
    "allot.v1.OrderService/ExplainOrder": _for(_SHOP, _WAREHOUSE, channel="channel"),
    "allot.v1.OrderService/ListOrders": _for(_SHOP, _WAREHOUSE, channel="channel"),
    "allot.v1.ReservationService/Reserve": _for(_SHOP, channel="order.channel"),
    "allot.v1.ReservationService/Confirm": _for(_SHOP, channel="channel"),
    "allot.v1.ReservationService/Release": _for(_SHOP, channel="channel"),
    "allot.v1.PromiseService/Promise": _for(_SHOP, channel="channel"),
    "allot.v1.PromiseService/Promises": _for(_SHOP),  # the service compares the column `channel`
    "allot.v1.AvailabilityService/GetAvailability": _for(_SHOP, _CHANNEL, channel="channel"),
    "allot.v1.AvailabilityService/WatchAvailability": _for(_SHOP, _CHANNEL, channel="channel"),
    "allot.v1.AvailabilityService/PullAvailability": _for(_SHOP, _CHANNEL, channel="cursors.channel"),
    "allot.v1.AvailabilityService/ListChannelFigures": _for(_CHANNEL, shows="channels.channel"),
    "allot.v1.CatalogueService/PutNodes": _for(),
    "allot.v1.CatalogueService/ListNodes": _for(_WAREHOUSE),
    "allot.v1.CatalogueService/PutSkus": _for(),
    "allot.v1.CatalogueService/ListSkus": _for(_CHANNEL),
    "allot.v1.CatalogueService/PutPostalCodes": _for(),
    "allot.v1.CatalogueService/PutChannel": _for(_CHANNEL, channel="channel.channel"),
    "allot.v1.CatalogueService/ListChannels": _for(_CHANNEL, shows="channels.channel"),
    "allot.v1.CatalogueService/PutExceptions": _for(_CHANNEL, channel="exceptions.channel"),
    "allot.v1.CatalogueService/PutTaxRegions": _for(),
    "allot.v1.CatalogueService/PutFences": _for(_CHANNEL, channel="fences.channel"),
    "allot.v1.StockService/ReceiveStock": _for(_WAREHOUSE),
    "allot.v1.StockService/CountStock": _for(_WAREHOUSE),
    "allot.v1.StockService/AdjustStock": _for(_WAREHOUSE),
    "allot.v1.StockService/GetStock": _for(_WAREHOUSE),
    "allot.v1.StockService/ListStock": _for(_WAREHOUSE),
    "allot.v1.StockService/PutSupply": _for(_WAREHOUSE),
    "allot.v1.StockService/ListSupply": _for(_WAREHOUSE),
    "allot.v1.PaymentService/CreatePayment": _for(_SHOP, channel="channel"),
    "allot.v1.PaymentService/AdvancePayment": _for(_SHOP, _WORKER, channel="channel"),
    "allot.v1.PaymentService/RefundOrder": _for(_SHOP, channel="channel"),
    "allot.v1.PaymentService/AdvanceRefund": _for(_SHOP, _WORKER, channel="channel"),
    "allot.v1.PaymentService/AdvancePayments": _for(_SHOP, _WORKER),  # the service compares the column `channel`
    "allot.v1.PaymentService/GetPayment": _for(_SHOP, _WORKER, channel="channel"),
    "allot.v1.PaymentService/GetLedger": _for(),
    "allot.v1.ShipmentService/CreateShipment": _for(_SHOP, _WAREHOUSE, channel="channel"),
    "allot.v1.ShipmentService/AdvanceShipment": _for(_WAREHOUSE, _WORKER, channel="channel"),
    "allot.v1.ShipmentService/AdvanceShipments": _for(_WAREHOUSE, _WORKER),
    "allot.v1.ShipmentService/ActOnUnits": _for(_WAREHOUSE, channel="channel"),
    "allot.v1.ShipmentService/GetShipment": _for(_SHOP, _WAREHOUSE, _WORKER, channel="channel"),
    "allot.v1.ShipmentService/TrackShipment": Access(frozenset(Role), is_open=True),
    "allot.v1.ReturnService/CreateReturn": _for(_SHOP, _CUSTOMER, channel="channel"),
    "allot.v1.ReturnService/AdvanceReturn": _for(_SHOP, _WAREHOUSE, _CUSTOMER, channel="channel"),
    "allot.v1.ReturnService/AdvanceReturns": _for(_WAREHOUSE),
    "allot.v1.ReturnService/GetReturn": _for(_SHOP, _WAREHOUSE, _CUSTOMER, channel="channel"),
    "allot.v1.ReturnService/PutReturnPolicies": _for(channel="policies.channel"),
    "allot.v1.ReturnService/ListReturnPolicies": _for(_WAREHOUSE),
    "allot.v1.EventService/StreamEvents": _for(_CHANNEL, _WAREHOUSE, _WORKER, any_channel=True),
    "grpc.health.v1.Health/Check": Access(frozenset(Role), is_open=True),
    "grpc.health.v1.Health/List": _EVERYONE,
    "grpc.health.v1.Health/Watch": _EVERYONE,
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": _EVERYONE,
}


# --- what a bound token may touch ---


def check_channels(access: Access, caller: Caller, request: Any) -> None:
    """Refuses a request of a bound token that is about another channel than its own."""
    if access.any_channel:
        raise _other_channel("", "this call tells of every channel", caller)
    if access.channel:
        for named in _at(request, access.channel):
            if named != caller.channel:
                raise _other_channel(access.channel, f"{access.channel} {named!r}", caller)


def check_channel_names(names: Iterable[str], caller: Caller) -> None:
    """The same for names that a service has read itself, as those of an Arrow batch."""
    if caller.channel:
        for named in names:
            if named != caller.channel:
                raise _other_channel("channel", f"channel {named!r}", caller)


def keep_own(access: Access, caller: Caller, response: Any) -> None:
    """Takes the rows of other channels out of an answer to a bound token."""
    if access.shows:
        rows_at, _, channel_at = access.shows.partition(".")
        rows = getattr(response, rows_at)
        own = [row for row in rows if getattr(row, channel_at) == caller.channel]
        del rows[:]
        rows.extend(own)


def _at(message: Any, path: str) -> Iterator[str]:
    """What is at a path of fields, of every row where a field is repeated."""
    name, _, rest = path.partition(".")
    value = getattr(message, name)
    if not rest:
        yield value
        return
    for row in [value] if hasattr(value, "DESCRIPTOR") else value:
        yield from _at(row, rest)


def _other_channel(field: str, what: str, caller: Caller) -> Rejection:
    return Rejection(
        grpc.StatusCode.PERMISSION_DENIED,
        "OTHER_CHANNEL",
        f"{what}: the token {caller.name!r} is for the channel {caller.channel!r} alone: name that one, or use a token "
        "without a channel",
        field,
    )


# --- tokens ---


def make_token() -> tuple[str, str]:
    """A new token and what the tokens file keeps of it."""
    token = secrets.token_urlsafe(32)
    return token, digest_of(token)


def digest_of(token: str) -> str:
    """What the tokens file keeps of a token: nobody can call with it."""
    return hashlib.sha256(token.encode()).hexdigest()


def read_tokens(path: Path) -> dict[str, Caller]:
    """Callers by the digest of their token, or a SettingsError that says which entry will not do."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"tokens {path}: {error.strerror}: name a readable file, `allot token` says more") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"tokens {path}: not TOML: {error}") from None
    entries = content.pop("token", [])
    if content or not isinstance(entries, list) or not entries:
        raise SettingsError(f"tokens {path}: holds [[token]] entries and nothing else; `allot token` makes one")
    callers: dict[str, Caller] = {}
    for at, entry in enumerate(entries, 1):
        digest, caller = parse_entry(entry, f"tokens {path}, entry {at}")
        if digest in callers or any(caller.name == other.name for other in callers.values()):
            raise SettingsError(f"tokens {path}, entry {at}: name and sha256 are each used once: {caller.name!r} again")
        callers[digest] = caller
    return callers


def parse_entry(entry: Any, where: str) -> tuple[str, Caller]:
    """One [[token]], checked. The digest is not repeated in a message: it may be a token that was put there."""
    if not isinstance(entry, dict) or not {"name", "role", "sha256"} <= set(entry) <= {
        "name", "role", "sha256", "channel",
    }:  # fmt: skip
        raise SettingsError(f"{where}: has name, role, sha256 and perhaps channel, and nothing else")
    name, role, digest, channel = (entry.get(key, "") for key in ("name", "role", "sha256", "channel"))
    if not isinstance(name, str) or not 0 < len(name) <= NAME_CHARACTERS_MAX or not name.isprintable():
        raise SettingsError(f"{where}: name is a text of 1 to {NAME_CHARACTERS_MAX} characters")
    if role not in _KEPT_ROLES:
        raise SettingsError(f"{where} ({name}): role {role!r} is none of {', '.join(_KEPT_ROLES)}")
    if not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
        raise SettingsError(f"{where} ({name}): sha256 is 64 lower-case hexadecimal digits, not the token itself")
    if not isinstance(channel, str) or len(channel) > CHANNEL_CHARACTERS_MAX or ("channel" in entry and not channel):
        raise SettingsError(f"{where} ({name}): channel is a text of 1 to {CHANNEL_CHARACTERS_MAX} characters")
    if channel and role not in _BOUND_ROLES:
        raise SettingsError(f"{where} ({name}): only {' and '.join(_BOUND_ROLES)} may have a channel, not {role}")
    return digest, Caller(name, Role(role), channel)


class Security:
    """Finds out who calls and whether he may. Used on the event loop alone."""

    def __init__(
        self,
        tokens: Path | None,
        warn: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        customer_key: bytes = b"",
        wall: Callable[[], float] = time.time,
    ) -> None:
        """tokens: the file; None: everyone is an operator. warn: told when a changed file will not do. customer_key:
        what tokens of customers are signed with; empty: there are none. wall: seconds since 1970."""
        self._customer_key, self._wall = customer_key, wall
        self._path = tokens
        self._warn = warn
        self._clock = clock
        self._looked_at = clock()
        self._stamp = _stamp(tokens) if tokens else None
        self._callers = read_tokens(tokens) if tokens else {}

    @classmethod
    def of(cls, settings: Settings, warn: Callable[[str], None] = lambda _: None) -> "Security":
        """As the settings say, or a SettingsError where they would expose the service."""
        check_exposure(settings)
        key = read_key(settings.customer_key) if settings.customer_key else b""
        return cls(settings.tokens, warn, customer_key=key)

    @property
    def asks_for_tokens(self) -> bool:
        return self._path is not None

    def admit(self, access: Access, metadata: Iterable[tuple[str, str | bytes]] | None) -> Caller:
        """Who calls, by the metadata of the call, or a Rejection where he may not."""
        if self._path is None:
            return NOBODY_ASKED
        if access.is_open:
            return ANYONE
        caller = self._caller_of(_bearer(metadata or ()))
        if caller.role not in access.roles:
            may = ", ".join(role for role in Role if role in access.roles)
            raise Rejection(
                grpc.StatusCode.PERMISSION_DENIED,
                "ROLE_NOT_ALLOWED",
                f"the token {caller.name!r} has the role {caller.role}: this call is for {may}",
            )
        return caller

    def _caller_of(self, token: str) -> Caller:
        if token.startswith(PREFIX) and self._customer_key:
            return self._customer_of(token)
        if self._clock() - self._looked_at >= RELOAD_SECONDS_MIN:
            self._reload()
        # A lookup by digest: how long it takes says nothing about tokens.
        caller = self._callers.get(digest_of(token)) if len(token) <= TOKEN_CHARACTERS_MAX else None
        if caller is None:
            raise Rejection(
                grpc.StatusCode.UNAUTHENTICATED,
                "TOKEN_UNKNOWN",
                "authorization: this token is not known here: ask the operator for one (`allot token`)",
            )
        return caller

    def _customer_of(self, token: str) -> Caller:
        found = read_customer_token(self._customer_key, token)
        if found is None:
            raise Rejection(
                grpc.StatusCode.UNAUTHENTICATED, "TOKEN_UNKNOWN",
                "authorization: this token of a customer was not signed here: let the shop make one",
            )  # fmt: skip
        channel, customer, until = found
        if self._wall() >= until:
            raise Rejection(
                grpc.StatusCode.UNAUTHENTICATED, "TOKEN_EXPIRED",
                "authorization: this token of a customer has expired: let the shop make another",
            )  # fmt: skip
        return Caller("customer", Role.CUSTOMER, channel, customer)

    def _reload(self) -> None:
        """Takes a changed file; one that will not do leaves the tokens as they were."""
        assert self._path is not None
        self._looked_at = self._clock()
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._callers = read_tokens(self._path)
        except SettingsError as error:
            self._warn(f"{error}; the tokens before it stay in force")


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _bearer(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    for name, value in metadata:
        if name == "authorization" and isinstance(value, str):
            scheme, _, token = value.partition(" ")
            if scheme.lower() == "bearer" and token.strip():
                return token.strip()
            break
    raise Rejection(
        grpc.StatusCode.UNAUTHENTICATED,
        "TOKEN_MISSING",
        "authorization: this server asks for a token: send the metadata `authorization: Bearer TOKEN`",
    )


# --- where it listens, and TLS ---


def check_exposure(settings: Settings) -> None:
    """Refuses an address that others reach without both TLS and tokens."""
    if parse_address(settings.listen).is_loopback:
        return
    missing = [
        what
        for what, given in (
            ("TLS (tls_certificate and tls_key)", settings.tls_certificate),
            ("tokens", settings.tokens),
        )
        if given is None
    ]
    if missing:
        raise SettingsError(
            f"listen = {settings.listen!r} ({settings.origin('listen')}): others reach this address, so it needs "
            f"{' and '.join(missing)}: give them, or listen on 127.0.0.1"
        )


def server_credentials(settings: Settings) -> grpc.ServerCredentials | None:
    """TLS as the settings say; None: none. A SettingsError where the files do not fit, before anything is served."""
    certificate, key, client_ca = settings.tls_certificate, settings.tls_key, settings.tls_client_ca
    if certificate is None or key is None:
        return None
    chain, private, trusted = (
        _pem(path, name)
        for path, name in ((certificate, "tls_certificate"), (key, "tls_key"), (client_ca, "tls_client_ca"))
    )
    trial = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        trial.load_cert_chain(certificate, key, password=lambda: _encrypted(key))
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise SettingsError(
                f"tls_key {key}: is not the key of the certificate {certificate}: name its own"
            ) from None
        raise SettingsError(
            f"tls_certificate {certificate}, tls_key {key}: not PEM of a certificate and its key"
        ) from None
    if client_ca is not None:
        try:
            trial.load_verify_locations(cafile=client_ca)
        except ssl.SSLError:
            raise SettingsError(f"tls_client_ca {client_ca}: not PEM of a certificate") from None
    return grpc.ssl_server_credentials(
        [(private, chain)], root_certificates=trusted or None, require_client_auth=client_ca is not None
    )


def _pem(path: Path | None, name: str) -> bytes:
    try:
        return path.read_bytes() if path is not None else b""
    except OSError as error:
        raise SettingsError(f"{name} {path}: {error.strerror}: name a PEM file that this user can read") from None


def _encrypted(key: Path) -> NoReturn:
    raise SettingsError(f"tls_key {key}: is encrypted, and nobody is there to type its password: decrypt it")


# --- card numbers ---

# What may be a card number, for engines without look-around, as Arrow's: `holds_card_number` decides.
CARD_LIKE = r"(\d[ ._-]{0,2}){12}\d|[^\x00-\x7f]"
_BETWEEN = r"[\s._\-\u2010-\u2015]{1,2}"
CARD_RUN = re.compile(rf"(?<!\d)(?:\d{{13,19}}(?!\d)|(?:\d{{4}}|\d{{6}})(?:{_BETWEEN}\d+)+)")
DIVIDED_LIKE = r"^\d{4}[ ._-]\d{4,6}[ ._-]"  # the same of ids, and `is_card_number`
_DIVIDED = re.compile(r"\d{4}([ ._-])\d{4}\1\d{4}\1\d{4}|\d{4}([ ._-])\d{6}\2\d{5}", re.ASCII)
_CARD_DIGITS_MIN, _CARD_DIGITS_MAX = 13, 19
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)  # the digit sum of twice a digit


def holds_card_number(text: str) -> bool:
    """Whether a text holds 13 to 19 digits that pass the Luhn check, in one piece or divided as on a card: whatever the
    script of the digits, and whatever stands between them.

    On a card four or six digits come first. Order ids of marketplaces are divided otherwise (Amazon's 3-7-7), and a
    tenth of them would pass the check by chance.
    """
    if len(text) < _CARD_DIGITS_MIN:
        return False
    if not text.isascii():
        text = "".join(str(unicodedata.decimal(one, one)) for one in unicodedata.normalize("NFKC", text))
    return any(_passes_luhn(digits) for run in CARD_RUN.finditer(text) for digits in _numbers(run.group()))


def is_card_number(text: str) -> bool:
    """Whether an id is a card number, divided as on a card, and nothing else. Ids in one piece are let be: orders and
    parcels have long numbers of their own, of which a tenth pass the Luhn check."""
    return _DIVIDED.fullmatch(text) is not None and _passes_luhn(re.sub(r"\D", "", text))


def _numbers(run: str) -> Iterator[str]:
    """What may be one number in groups of digits: from a group of four or six on, or one long group."""
    groups = re.split(_BETWEEN, run)
    for first, group in enumerate(groups):
        digits = ""
        for further in groups[first:] if len(group) in (4, 6) else [group]:
            digits += further
            if len(digits) > _CARD_DIGITS_MAX:
                break
            if len(digits) >= _CARD_DIGITS_MIN:
                yield digits


def _passes_luhn(text: str) -> bool:
    digits = [int(digit) for digit in text]
    return (sum(digits[-1::-2]) + sum(_DOUBLED[digit] for digit in digits[-2::-2])) % 10 == 0
