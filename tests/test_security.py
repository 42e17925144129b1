"""Who may call what: the table of roles against the contract, tokens, TLS files, addresses, card numbers."""

from pathlib import Path

import grpc
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import trustme
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from allot.v1 import (
    availability_pb2,
    catalogue_pb2,
    events_pb2,
    orders_pb2,
    payments_pb2,
    promises_pb2,
    reservations_pb2,
    returns_pb2,
    shipments_pb2,
    stock_pb2,
)
from server.config import Settings, SettingsError
from server.errors import Rejection
from server.security import (
    ACCESS,
    CARD_LIKE,
    NOBODY_ASKED,
    Access,
    Caller,
    Role,
    Security,
    check_channel_names,
    check_channels,
    check_exposure,
    digest_of,
    holds_card_number,
    is_card_number,
    keep_own,
    make_token,
    read_tokens,
    server_credentials,
)
from tests.command_line import run

CONTRACT = (
    availability_pb2, catalogue_pb2, events_pb2, orders_pb2, payments_pb2, promises_pb2, reservations_pb2, returns_pb2,
    shipments_pb2, stock_pb2,
)  # fmt: skip
LIBRARIES = (health_pb2, reflection_pb2)
METHODS = {
    f"{service.full_name}/{method.name}": method
    for module in (*CONTRACT, *LIBRARIES)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
PLACE = ACCESS["allot.v1.OrderService/PlaceOrder"]
STOCK = ACCESS["allot.v1.StockService/ReceiveStock"]


def entry(name: str, role: str, token: str, **more: str) -> str:
    lines = {"name": name, "role": role, "sha256": digest_of(token), **more}
    return "\n[[token]]\n" + "".join(f'{key} = "{value}"\n' for key, value in lines.items())


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "tokens.toml"
    path.write_text(entry("web", "shop", "s3cret") + entry("market", "channel", "other", channel="AMAZON"))
    return path


def bearer(token: str) -> list[tuple[str, str]]:
    return [("user-agent", "x"), ("authorization", f"Bearer {token}")]


def refused(security: Security, access: Access, metadata: list[tuple[str, str]]) -> Rejection:
    with pytest.raises(Rejection) as raised:
        security.admit(access, metadata)
    return raised.value


# --- the table ---


def test_every_call_of_the_contract_says_who_may_make_it_and_no_other():
    assert set(ACCESS) == set(METHODS)


def test_an_operator_may_do_everything_and_nothing_is_open_but_tracking_and_the_health_check():
    assert [name for name, access in ACCESS.items() if Role.OPERATOR not in access.roles] == []
    assert [name for name, access in ACCESS.items() if access.is_open] == [
        "allot.v1.ShipmentService/TrackShipment", "grpc.health.v1.Health/Check",
    ]  # fmt: skip


def paths_to_channel(message: Descriptor, prefix: str = "") -> set[str]:
    found = set()
    for field in message.fields:
        if field.name == "channel" and field.type == FieldDescriptor.TYPE_STRING:
            found.add(f"{prefix}channel")
        elif field.message_type is not None:
            found |= paths_to_channel(field.message_type, f"{prefix}{field.name}.")
    return found


@pytest.mark.parametrize("name", [name for name in METHODS if name.startswith("allot.")])
def test_a_call_that_names_a_channel_is_held_to_the_channel_of_its_token(name: str):
    access = ACCESS[name]
    assert paths_to_channel(METHODS[name].input_type) == ({access.channel} if access.channel else set())
    if not access.channel and {Role.SHOP, Role.CHANNEL} & access.roles:  # only these may be bound
        shown = paths_to_channel(METHODS[name].output_type)
        assert access.any_channel or shown == ({access.shows} if access.shows else set())


def test_what_each_role_may_do():
    may = {
        role: {
            name.split("/")[1] for name, access in ACCESS.items() if name.startswith("allot.") and role in access.roles
        }
        for role in Role
    }
    figures = {"GetAvailability", "WatchAvailability", "PullAvailability"}
    orders = {"CancelOrder", "GetOrder", "ExplainOrder", "ListOrders"}
    stock = {"ReceiveStock", "CountStock", "AdjustStock", "GetStock", "ListStock", "PutSupply", "ListSupply"}
    policies = {"PutChannel", "ListChannels", "PutExceptions", "PutFences"}
    payments = {
        "CreatePayment", "AdvancePayment", "AdvancePayments", "GetPayment", "RefundOrder", "AdvanceRefund",
    }  # fmt: skip
    parcels = {"CreateShipment", "GetShipment", "AdvanceReturn", "GetReturn"}
    handling = {"AdvanceShipment", "AdvanceShipments", "ActOnUnits", "AdvanceReturns", "ListReturnPolicies"}
    placing = {"PlaceOrder", "PlaceOrders", "AllocateBatches", "Reserve", "Confirm", "Release", "Promise", "Promises"}
    assert may[Role.SHOP] == placing | orders | figures | payments | parcels | {"CreateReturn", "TrackShipment"}
    assert may[Role.CHANNEL] == figures | policies | {
        "ListSkus", "StreamEvents", "ListChannelFigures", "TrackShipment",
    }  # fmt: skip
    assert may[Role.CUSTOMER] == {
        "GetOrder", "CancelOrder", "CreateReturn", "GetReturn", "AdvanceReturn", "TrackShipment",
    }  # fmt: skip
    assert may[Role.WORKER] == {
        "StreamEvents", "GetPayment", "AdvancePayment", "AdvanceRefund", "AdvancePayments", "GetShipment",
        "AdvanceShipment", "AdvanceShipments", "TrackShipment",
    }  # fmt: skip
    assert may[Role.WAREHOUSE] == stock | orders | parcels | handling | {"ListNodes", "StreamEvents", "TrackShipment"}
    assert may[Role.OPERATOR] - may[Role.SHOP] - may[Role.CHANNEL] - may[Role.WAREHOUSE] == {
        "PutNodes", "PutSkus", "PutPostalCodes", "ReallocateOrders", "ReevaluateOrders", "PutReturnPolicies",
        "GetLedger", "PutTaxRegions",
    }  # fmt: skip


# --- tokens ---


def test_without_tokens_everyone_is_an_operator():
    security = Security(None)
    assert security.admit(STOCK, []) is NOBODY_ASKED
    assert (NOBODY_ASKED.role, security.asks_for_tokens) == (Role.OPERATOR, False)


def test_a_token_says_who_calls(tokens: Path):
    security = Security(tokens)
    assert security.admit(PLACE, bearer("s3cret")) == Caller("web", Role.SHOP)
    assert security.admit(PLACE, [("authorization", "bearer  s3cret")]).name == "web"
    assert security.admit(ACCESS["grpc.health.v1.Health/Check"], []).channel == ""


@pytest.mark.parametrize(
    "metadata",
    [
        [],
        [("authorization", "s3cret")],
        [("authorization", "Bearer ")],
        [("authorization", "Basic s3cret")],
        [("x", "y")],
    ],
)
def test_a_missing_token_is_refused(tokens: Path, metadata: list[tuple[str, str]]):
    rejection = refused(Security(tokens), PLACE, metadata)
    assert (rejection.code, rejection.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")


@pytest.mark.parametrize("token", ["s3cre", digest_of("s3cret"), "x" * 1_000_000])
def test_a_wrong_token_is_refused(tokens: Path, token: str):
    rejection = refused(Security(tokens), PLACE, bearer(token))
    assert (rejection.code, rejection.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_UNKNOWN")
    assert token not in rejection.message


def test_a_role_that_may_not_call_is_refused_and_told_which_may(tokens: Path):
    rejection = refused(Security(tokens), STOCK, bearer("s3cret"))
    assert (rejection.code, rejection.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_NOT_ALLOWED")
    assert rejection.message == "the token 'web' has the role shop: this call is for warehouse, operator"


def test_a_changed_file_counts_within_a_second_and_a_broken_one_does_not(tokens: Path):
    now, warnings = [0.0], []
    security = Security(tokens, warnings.append, lambda: now[0])
    tokens.write_text(entry("new", "shop", "newer"))
    assert security.admit(PLACE, bearer("s3cret")).name == "web"  # not looked at yet
    now[0] = 1.0
    assert refused(security, PLACE, bearer("s3cret")).reason == "TOKEN_UNKNOWN"
    assert security.admit(PLACE, bearer("newer")).name == "new"
    tokens.write_text("nonsense")
    now[0] = 2.0
    assert security.admit(PLACE, bearer("newer")).name == "new"
    now[0] = 3.0
    assert security.admit(PLACE, bearer("newer")).name == "new"
    assert len(warnings) == 1
    assert "not TOML" in warnings[0]
    tokens.unlink()
    now[0] = 4.0
    assert security.admit(PLACE, bearer("newer")).name == "new"
    assert "No such file" in warnings[1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds [[token]] entries and nothing else"),
        ("tokens = 1", "holds [[token]] entries and nothing else"),
        ("[token]\nname = 'a'", "holds [[token]] entries and nothing else"),
        ("[[token]]\nname = 'a'\nrole = 'shop'", "entry 1: has name, role, sha256"),
        (entry("a", "shop", "x", extra="y"), "and nothing else"),
        (entry("", "shop", "x"), "name is a text of 1 to 64"),
        (entry("a", "king", "x"), "entry 1 (a): role 'king' is none of shop, channel, warehouse, worker, operator"),
        (f"[[token]]\nname='a'\nrole='shop'\nsha256='{'t' * 43}'", "not the token itself"),
        (entry("a", "shop", "x") + entry("b", "shop", "x"), "entry 2: name and sha256 are each used once"),
        (entry("a", "shop", "x") + entry("a", "shop", "y"), "entry 2: name and sha256 are each used once"),
        (entry("a", "warehouse", "x", channel="WEB"), "only shop and channel may have a channel"),
        (entry("a", "shop", "x", channel=""), "channel is a text of 1 to 32"),
    ],
)
def test_a_tokens_file_that_will_not_do_is_refused(tmp_path: Path, text: str, said: str):
    path = tmp_path / "tokens.toml"
    path.write_text(text)
    with pytest.raises(SettingsError) as raised:
        read_tokens(path)
    assert said in str(raised.value)
    assert "t" * 43 not in str(raised.value)


def test_tokens_are_random_and_long():
    made = {make_token()[0] for _ in range(100)}
    assert len(made) == 100
    assert min(map(len, made)) >= 43  # 256 bits


def test_the_command_makes_a_token_that_lets_in(tmp_path: Path):
    made = run("token", "--role", "shop", "--name", 'the "web" शॉप 🛒', "--channel", "WEB")
    token = made.err.splitlines()[-1]
    path = tmp_path / "tokens.toml"
    path.write_text(made.out)
    assert Security(path).admit(PLACE, bearer(token)) == Caller('the "web" शॉप 🛒', Role.SHOP, "WEB")
    assert token not in path.read_text()
    as_json = run("token", "--role", "operator", "--name", "me", "--json").json
    assert as_json["entry"]["sha256"] == digest_of(as_json["token"])
    path.write_text(made.out + run("token", "--role", "warehouse", "--name", "house").out)  # one after another
    assert [caller.name for caller in read_tokens(path).values()] == ['the "web" शॉप 🛒', "house"]


def test_the_command_refuses_what_the_file_would(tmp_path: Path):
    assert run("token", "--role", "king", "--name", "a").code == 2
    refusal = run("token", "--role", "operator", "--name", "a", "--channel", "WEB")
    assert (refusal.code, refusal.out) == (2, "")
    assert "only shop and channel may have a channel" in refusal.err


# --- tokens of one channel ---

BOUND = Caller("market", Role.CHANNEL, "AMAZON")


@pytest.mark.parametrize(
    ("name", "own", "other"),
    [
        (
            "OrderService/PlaceOrders",
            orders_pb2.PlaceOrdersRequest(order={"channel": "AMAZON"}),
            orders_pb2.PlaceOrdersRequest(order={"channel": "WEB"}),
        ),
        (
            "OrderService/ListOrders",
            orders_pb2.ListOrdersRequest(channel="AMAZON"),
            orders_pb2.ListOrdersRequest(),  # of every channel
        ),
        (
            "CatalogueService/PutChannel",
            catalogue_pb2.PutChannelRequest(channel={"channel": "AMAZON"}),
            catalogue_pb2.PutChannelRequest(channel={"channel": "amazon"}),
        ),
        (
            "CatalogueService/PutFences",
            catalogue_pb2.PutFencesRequest(fences=[{"channel": "AMAZON"}] * 2),
            catalogue_pb2.PutFencesRequest(fences=[{"channel": "AMAZON"}, {"channel": "WEB"}]),
        ),
    ],
)
def test_a_bound_token_speaks_of_its_own_channel_alone(name: str, own: object, other: object):
    access = ACCESS[f"allot.v1.{name}"]
    check_channels(access, BOUND, own)
    with pytest.raises(Rejection) as raised:
        check_channels(access, BOUND, other)
    assert (raised.value.code, raised.value.reason) == (grpc.StatusCode.PERMISSION_DENIED, "OTHER_CHANNEL")


def test_a_bound_token_hears_no_events_and_sees_its_own_policy_alone():
    with pytest.raises(Rejection, match="tells of every channel"):
        check_channels(ACCESS["allot.v1.EventService/StreamEvents"], BOUND, events_pb2.StreamEventsRequest())
    page = catalogue_pb2.ListChannelsResponse(
        channels=[{"channel": "WEB"}, {"channel": "AMAZON", "priority": 3}, {"channel": "X"}], next_page_token="n"
    )
    keep_own(ACCESS["allot.v1.CatalogueService/ListChannels"], BOUND, page)
    assert page == catalogue_pb2.ListChannelsResponse(
        channels=[{"channel": "AMAZON", "priority": 3}], next_page_token="n"
    )


def test_a_service_that_reads_channels_itself_checks_them_too():
    check_channel_names(["AMAZON"], BOUND)
    check_channel_names(["WEB"], NOBODY_ASKED)
    with pytest.raises(Rejection, match="'WEB'"):
        check_channel_names(["AMAZON", "WEB"], BOUND)


# --- addresses and TLS ---


def test_others_reach_it_only_with_tls_and_tokens(tmp_path: Path):
    check_exposure(Settings())
    check_exposure(Settings(listen="unix:/run/allot.sock"))
    tls = {"tls_certificate": tmp_path / "c", "tls_key": tmp_path / "k"}
    tokens = {"tokens": tmp_path / "t"}
    for given, missing in (
        ({}, "TLS (tls_certificate and tls_key) and tokens"),
        (tls, "tokens"),
        (tokens, "TLS (tls_certificate and tls_key)"),
    ):
        with pytest.raises(SettingsError) as raised:
            Security.of(Settings(listen="0.0.0.0:50051", **given))
        assert f"it needs {missing}: give them, or listen on 127.0.0.1" in str(raised.value)
    check_exposure(Settings(listen="0.0.0.0:50051", **tls, **tokens))


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pems")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    for name in ("one", "two"):
        made = authority.issue_cert("localhost", "127.0.0.1")
        made.private_key_pem.write_to_path(folder / f"{name}.key")
        (folder / f"{name}.pem").write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
    return folder


def test_a_certificate_and_its_key_make_credentials(pems: Path):
    assert server_credentials(Settings()) is None
    given = Settings(tls_certificate=pems / "one.pem", tls_key=pems / "one.key", tls_client_ca=pems / "ca.pem")
    assert isinstance(server_credentials(given), grpc.ServerCredentials)


def test_tls_files_that_do_not_fit_are_named_before_anything_is_served(pems: Path):
    encrypted = pems / "encrypted.key"
    encrypted.write_bytes(_encrypted((pems / "one.key").read_bytes()))
    for certificate, key, authority, said in (
        ("one.pem", "two.key", None, "is not the key of the certificate"),
        ("one.key", "one.key", None, "not PEM of a certificate and its key"),
        ("ca.pem", "one.pem", None, "not PEM of a certificate and its key"),
        ("none.pem", "one.key", None, "No such file"),
        ("one.pem", "one.key", "one.key", "not PEM of a certificate"),
        ("one.pem", "encrypted.key", None, "is encrypted"),
    ):
        given = {"tls_client_ca": pems / authority} if authority else {}
        with pytest.raises(SettingsError) as raised:
            server_credentials(Settings(tls_certificate=pems / certificate, tls_key=pems / key, **given))
        assert said in str(raised.value)


def _encrypted(key: bytes) -> bytes:
    from cryptography.hazmat.primitives import serialization as form

    return form.load_pem_private_key(key, None).private_bytes(
        form.Encoding.PEM, form.PrivateFormat.PKCS8, form.BestAvailableEncryption(b"x")
    )


# --- card numbers ---


@pytest.mark.parametrize(
    "text",
    ["4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "3782 822463 10005", "378282246310005",
     "card 5555555555554444!", "ORD4111111111111111X", "4222222222222", "6304000000000000000",
     "4111  1111  1111  1111", "4111.1111.1111.1111", "4111_1111_1111_1111",
     "411111 1111111111", "4111\u20131111\u20131111\u20131111",
     "\uff14\uff11\uff11\uff11\u00a01111 1111 1111", "\u096a\u0967\u0967\u0967" + "1" * 12,
     "4111 1111-11111111", "4111 1111 1111 1111 222", "11 2024 4111 1111 1111 1111", "2024 4111111111111111"],
)  # fmt: skip
def test_a_card_number_is_known(text: str):
    assert holds_card_number(text)
    assert pc.match_substring_regex(pa.array([text]), CARD_LIKE)[0].as_py()


@pytest.mark.parametrize(
    "text",
    ["", "WEB-1", "4111111111111112", "411111111111", "41111111111111111111111", "171-9198151-1101146",
     "408-0493844-0000005", "550e8400-e29b-41d4-a716-446655440000", "4111   1111   1111   1111",
     "2026-11-30 12:34:56", "\u0906\u0936\u093e \u0930\u093e\u0935, 560034", "x" * 10_000],
)  # fmt: skip
def test_what_is_no_card_number_is_left_alone(text: str):
    assert not holds_card_number(text)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("4111-1111-1111-1111", True), ("4111 1111 1111 1111", True), ("3782-822463-10005", True),
     ("4111-1111-1111-1112", False), ("4111111111111111", False), ("171-9198151-1101146", False), ("WEB-1", False)],
)  # fmt: skip
def test_an_id_is_a_card_number_where_it_is_divided_as_one(text: str, is_one: bool):
    assert is_card_number(text) is is_one


def test_no_order_id_of_the_amazon_form_is_taken_for_a_card():
    passing = [f"404-{at:07}-{at * 7919 % 10**7:07}" for at in range(1000)]
    assert not any(map(holds_card_number, passing))
    assert sum(holds_card_number(text.replace("-", "")) for text in passing) > 50  # by chance a tenth of them would
