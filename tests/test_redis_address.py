"""Where Redis is, what its keys are called, and what its failures are called."""

import socket
import ssl
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import exceptions as failures
from redis.asyncio.sentinel import MasterNotFoundError, SlaveNotFoundError
from redis.crc import key_slot

from server.config import Settings
from server.workers.failure import WorkerError
from server.workers.redis_address import Address, Keys
from server.workers.redis_store import told
from tests.command_line import run

GOOD = {
    "redis://cache": Address("", (("cache", 6379),)),
    "redis://cache/": Address("", (("cache", 6379),)),
    "REDIS://cache:1/15": Address("", (("cache", 1),), database=15),
    "rediss://cache:65535/0": Address("", (("cache", 65535),), tls=True),
    "redis://relay@cache.example:6380": Address("", (("cache.example", 6380),), "relay"),
    "redis://@cache": Address("", (("cache", 6379),)),
    "redis://relay%40shop%2F1@cache": Address("", (("cache", 6379),), "relay@shop/1"),
    "redis://127.0.0.1:6379/0": Address("", (("127.0.0.1", 6379),)),
    "redis://[::1]": Address("", (("::1", 6379),)),
    "redis://relay@[2001:DB8::7]:6380/2": Address("", (("2001:DB8::7", 6380),), "relay", 2),
    "redis://[fe80::1%eth0]:6380": Address("", (("fe80::1%eth0", 6380),)),
    "redis+sentinel://one/orders": Address("sentinel", (("one", 26379),), master="orders"),
    "redis+sentinel://one,two:1,[::1]:2/my%20orders": Address(
        "sentinel", (("one", 26379), ("two", 1), ("::1", 2)), master="my orders"
    ),
    "rediss+sentinel://relay@one/0": Address("sentinel", (("one", 26379),), "relay", master="0", tls=True),
    "redis+cluster://one": Address("cluster", (("one", 6379),)),
    "rediss+cluster://relay@[::1]:1,[::2],three:3/0": Address(
        "cluster", (("::1", 1), ("::2", 6379), ("three", 3)), "relay", tls=True
    ),
}  # fmt: skip
SCHEMES, PASSWORD, HOST, PORT = "^write redis://host", "^it holds a password", "is no host:port", "a port is 1 to 65535"
DATABASE, MASTER, EXTRA = "^the database is a number", "^name the master as Sentinel knows it", "^it ends with the host"
BAD = {
    "": SCHEMES, "cache:6379": SCHEMES, "redis:cache": SCHEMES, "http://cache": SCHEMES, "unix:///run/redis": SCHEMES,
    "redis+other://cache": SCHEMES, "redis+://": HOST, "sentinel://cache/orders": SCHEMES,
    "redis://:secret@cache": PASSWORD, "redis://relay:secret@cache": PASSWORD, "redis://relay:se/cr@et@cache": PASSWORD,
    "redis+cluster://relay:@cache": PASSWORD, "redis://relay:se?cret@cache": PASSWORD,
    "redis://cache?password=secret": EXTRA, "redis://cache/0?db=1": EXTRA, "redis://cache/0#secret": EXTRA,
    "redis://": HOST, "redis:///0": HOST, "redis://cache:": HOST, "redis://cache:port": HOST,
    "redis://cache:6_379": HOST, "redis://cache:-1": HOST, "redis://:6379": HOST, "redis://ca che": HOST,
    "redis:// cache": HOST, "redis://a\nb": HOST, "redis://cache:\N{SUPERSCRIPT TWO}": HOST,
    "redis://cache:999999": HOST, "redis+cluster://one,": HOST, "redis+cluster://one,,two": HOST,
    "redis+cluster://one, two": HOST, "redis+sentinel:///orders": HOST, "redis://::1": HOST, "redis://::1:6379": HOST,
    "redis://2001:db8::7:6379": HOST, "redis://[::1": HOST, "redis://::1]:6379": HOST, "redis://[]:1": HOST,
    "redis://[::1]x:1": HOST, "redis://[cache]:1": HOST,
    "redis://cache:0": PORT, "redis://cache:65536": PORT, "redis://cache:99999": PORT,
    "redis+cluster://one,[::1]:0": PORT,
    "redis://cache/-1": DATABASE, "redis://cache/orders": DATABASE, "redis://cache/0/1": DATABASE,
    "redis://cache/\N{SUPERSCRIPT TWO}": DATABASE, "redis://cache/\N{ARABIC-INDIC DIGIT THREE}": DATABASE,
    "redis://cache/" + "9" * 30: DATABASE, "redis+cluster://one/orders": DATABASE,
    "redis+cluster://one/1": "^a cluster has one database",
    "redis+sentinel://one": MASTER, "redis+sentinel://one,two/": MASTER, "redis+sentinel://one/orders/0": MASTER,
    "redis://one,two": "^several hosts are", "rediss://one:1,[::1]:2/0": "^several hosts are",
}  # fmt: skip


@pytest.mark.parametrize(("url", "address"), GOOD.items(), ids=GOOD)
def test_a_good_address(url: str, address: Address):
    assert Address.parse(url) == address


@pytest.mark.parametrize(("url", "mend"), BAD.items(), ids=map(repr, BAD))
def test_a_bad_address_says_how_to_mend_it(url: str, mend: str):
    with pytest.raises(ValueError, match=mend) as caught:
        Address.parse(url)
    assert type(caught.value) is ValueError
    assert "secret" not in str(caught.value)


@given(st.text(st.sampled_from("redis:/+,@[]?#0169.%a \n\N{MICRO SIGN}"), max_size=30))
def test_any_text_is_an_address_or_refused(text: str):
    for url in (text, f"redis://{text}", f"redis+cluster://{text}", f"redis+sentinel://{text}/orders"):
        try:
            address = Address.parse(url)
        except ValueError:
            continue
        assert address.hosts
        assert all(host and host == host.strip() and 0 < port < 65536 for host, port in address.hosts)
        assert bool(address.master) == (address.kind == "sentinel")


def test_the_command_refuses_a_bad_address_and_a_prefix_that_would_scatter_the_keys():
    refused = run("relay", "--redis", "redis://:secret@cache")
    assert (refused.code, "--redis: it holds a password" in refused.err, "secret" in refused.err) == (2, True, False)
    refused = run("relay", "--redis", "redis://127.0.0.1:1", "--prefix", "{}")
    assert (refused.code, "--prefix: '{}': leave out the braces" in refused.err) == (2, True)
    with pytest.raises(ValueError, match="leave out the braces"):
        Settings(redis_prefix="a{b")


# Keys

CHANNELS = [
    "own", "OWN", "own ", " own", "o wn", "own%20", "own+", "%", "%25", "%7B", "{", "}", "{}", "}{", "{own}",
    "{own", "own}", "a{b}c", "a{b", "b", "{b}", ":", "own:figures", "own}:figures", "own:{x}", "a/b", "a%2Fb", "a\\b",
    "*", "?", "[a]", "~", "-", "\N{MICRO SIGN}", "%C2%B5", "\N{SNOWMAN}", "\N{DEVANAGARI LETTER A}", "\U0001f6d2",
    "e\N{COMBINING ACUTE ACCENT}", "\N{LATIN SMALL LETTER E WITH ACUTE}", "x" * 64, "'", '"',
]  # fmt: skip


def are_in_one_slot(some: tuple[str, ...]) -> bool:
    return len({key_slot(key.encode()) for key in some}) == 1


def test_keys_of_a_channel_are_named_as_they_are_documented():
    assert Keys.of("own") == ("allot:{own}:figures", "allot:{own}:changes", "allot:{own}:state")


@pytest.mark.parametrize("prefix", ["allot", "", "a:b", "shop 7", "%7B", "\N{SNOWMAN}"])
def test_keys_of_all_channels_are_distinct_and_those_of_one_in_one_slot(prefix: str):
    found = [Keys.of(channel, prefix) for channel in CHANNELS]
    assert len({key for some in found for key in some}) == 3 * len(CHANNELS) == 3 * len(set(CHANNELS))
    for channel, some in zip(CHANNELS, found, strict=True):
        assert are_in_one_slot(some), channel
        tag = some[0].partition("{")[2].partition("}")[0]
        assert key_slot(some[0].encode()) == key_slot(tag.encode())  # the channel alone says where
    slots = {key_slot(some[0].encode()) for some in found}
    assert len(slots) > len(CHANNELS) - 3  # they are spread


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6), min_size=2, max_size=2))
def test_keys_of_any_two_channels(channels: list[str]):
    first, second = map(Keys.of, channels)
    assert are_in_one_slot(first)
    assert (not set(first) & set(second)) == (channels[0] != channels[1])


@given(st.text(st.sampled_from("{}%7BD :a"), min_size=1, max_size=6), st.text(st.sampled_from("{}%7BD :a"), min_size=1))
def test_keys_of_channels_with_braces(one: str, other: str):
    assert are_in_one_slot(Keys.of(one))
    assert (Keys.of(one) == Keys.of(other)) == (one == other)


# Failures

REASONS: list[tuple[Any, str]] = [
    (failures.AuthenticationError("invalid username-password pair"), "REDIS_PASSWORD"),
    (failures.AuthenticationWrongNumberOfArgsError("wrong number"), "REDIS_PASSWORD"),
    (failures.ResponseError("NOAUTH Authentication required."), "REDIS_PASSWORD"),
    (failures.ResponseError("WRONGPASS invalid"), "REDIS_PASSWORD"),
    (failures.ConnectionError("NOAUTH Authentication required."), "REDIS_PASSWORD"),
    (failures.NoPermissionError("this user has no permissions to run the 'fcall' command"), "REDIS_PERMISSION"),
    (failures.ReadOnlyError("You can't write against a read only replica."), "REDIS_READ_ONLY"),
    (failures.ResponseError("READONLY You can't write against a read only replica. script: 1"), "REDIS_READ_ONLY"),
    (failures.ConnectionError("The previous master is now a slave"), "REDIS_READ_ONLY"),
    (failures.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), "REDIS_OUT_OF_MEMORY"),
    (failures.ResponseError("Error running script: -OOM command not allowed\nwhen used memory"), "REDIS_OUT_OF_MEMORY"),
    (failures.BusyLoadingError("Redis is loading the dataset in memory"), "REDIS_LOADING"),
    (failures.ClusterDownError("CLUSTERDOWN The cluster is down"), "REDIS_CLUSTER_DOWN"),
    (failures.ClusterError("TTL exhausted."), "REDIS_CLUSTER_DOWN"),
    (failures.RedisClusterException("Redis Cluster cannot be connected."), "REDIS_CLUSTER_DOWN"),
    (failures.SlotNotCoveredError("slot 7 is not covered"), "REDIS_CLUSTER_DOWN"),
    (failures.TryAgainError("TRYAGAIN"), "REDIS_CLUSTER_DOWN"),
    (failures.MasterDownError("MASTERDOWN Link with MASTER is down"), "REDIS_CLUSTER_DOWN"),
    (MasterNotFoundError("No master found for 'orders'"), "REDIS_NO_MASTER"),
    (failures.TimeoutError("Timeout reading from 127.0.0.1:1"), "REDIS_SLOW"),
    (TimeoutError(), "REDIS_SLOW"),
    (failures.ConnectionError("Error 111 connecting"), "REDIS_UNREACHABLE"),
    (failures.MaxConnectionsError("Too many connections"), "REDIS_UNREACHABLE"),
    (SlaveNotFoundError("none"), "REDIS_UNREACHABLE"),
    (ConnectionRefusedError(111, "refused"), "REDIS_UNREACHABLE"),
    (ConnectionResetError(), "REDIS_UNREACHABLE"),
    (socket.gaierror(-2, "Name or service not known"), "REDIS_UNREACHABLE"),
    (ssl.SSLCertVerificationError("self-signed certificate"), "REDIS_UNREACHABLE"),
    (failures.ResponseError("MISCONF Redis is configured to save RDB snapshots"), "REDIS_ERROR"),
    (failures.DataError("Invalid input"), "REDIS_ERROR"),
    (failures.InvalidResponse("Protocol Error"), "REDIS_ERROR"),
    (failures.MovedError("7 127.0.0.1:1"), "REDIS_SLOT_MOVED"),
    (failures.RedisError(), "REDIS_ERROR"),
]


@pytest.mark.parametrize(("error", "reason"), REASONS, ids=lambda of: of if isinstance(of, str) else type(of).__name__)
def test_a_failure_has_its_reason_and_a_mend(error: Exception, reason: str):
    found = told(error)
    assert isinstance(found, WorkerError)
    assert found.reason == reason
    assert "\n" not in str(found)
    assert " ".join(str(error).split()) in str(found)
    assert str(found).strip("( )")


def all_kinds(of: type[BaseException]) -> set[type[BaseException]]:
    return {of}.union(*map(all_kinds, of.__subclasses__()))


def test_no_failure_of_the_library_is_left_without_a_reason():
    kinds = all_kinds(failures.RedisError) | all_kinds(failures.RedisClusterException)
    assert len(kinds) > 25
    for kind in kinds:
        error = kind.__new__(kind)  # some take arguments of their own
        Exception.__init__(error, "said")
        found = told(error)
        assert isinstance(found, WorkerError), kind
        assert found.reason.startswith("REDIS_"), kind


@pytest.mark.parametrize(
    "error", [WorkerError("AWAY", "it is"), KeyError("ours"), ValueError("ours"), AssertionError()]
)
def test_what_is_ours_stays_as_it_is(error: Exception):
    assert told(error) is error


def test_every_pair_of_a_reason_and_its_mend_is_told_apart():
    texts = {reason: str(told(error)).split(" (")[0] for error, reason in REASONS if reason != "REDIS_ERROR"}
    assert all(a == b or texts[a] != texts[b] for a, b in product(texts, texts))
