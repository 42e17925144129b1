"""What is counted, scraped for real; and a log that keeps secrets."""

import io
import json
import logging
import re
import threading
import urllib.request

import numpy as np
import pytest

from allot.v1 import orders_pb2
from server.log import Forward, open_log
from server.metrics import Metrics

NAMES = ("WEB", "AMAZON")


def samples(text: str) -> dict[str, float]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def scraped(metrics: Metrics) -> dict[str, float]:
    end = metrics.serve("127.0.0.1:0")
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{metrics.port}/metrics", timeout=10) as answer:
            return samples(answer.read().decode())
    finally:
        end()


def test_everything_that_is_counted_can_be_scraped():
    metrics = Metrics()
    calls = metrics.calls_of("a/B")
    for seconds in (0.0005, 0.0006, 20.0):
        calls.done(seconds)
    calls.failed_with("NOT_FOUND")
    metrics.decided(np.array([0, 0, 1, 0]), np.array([1, 1, 4, 3], np.uint8), NAMES.__getitem__)
    metrics.rejected("UNKNOWN_SKU", 3)
    metrics.committed(100, 0.002)
    metrics.queue_requests.set(5)
    metrics.durable_sequence.set_function(lambda: 77)
    metrics.snapshot_written(70)
    found = scraped(metrics)
    assert found['allot_calls_total{code="OK",method="a/B"}'] == 3
    assert found['allot_calls_total{code="NOT_FOUND",method="a/B"}'] == 1
    buckets = [
        found[f'allot_call_seconds_bucket{{le="{le}",method="a/B"}}'] for le in ("0.0005", "0.001", "10.0", "+Inf")
    ]
    assert buckets == [1, 2, 2, 3]
    assert found['allot_call_seconds_sum{method="a/B"}'] == pytest.approx(20.0011)
    assert found['allot_orders_total{channel="WEB",outcome="allocated"}'] == 2
    assert found['allot_orders_total{channel="WEB",outcome="short"}'] == 1
    assert found['allot_orders_total{channel="AMAZON",outcome="refused"}'] == 1
    assert found['allot_rejected_total{reason="UNKNOWN_SKU"}'] == 3
    assert found["allot_commits_total"] == 1
    assert found['allot_commit_orders_bucket{le="64.0"}'] == 0
    assert found['allot_commit_orders_bucket{le="256.0"}'] == 1
    assert found['allot_commit_seconds_bucket{le="0.0025"}'] == 1
    assert found['allot_queue_depth{queue="requests"}'] == 5
    assert found["allot_durable_sequence"] == 77
    assert found["allot_snapshot_sequence"] == 70
    assert 0 <= found["allot_snapshot_age_seconds"] < 60
    gauges = ("streams_open", "ats_lag_seconds", "view_sequence", "view_lag_commits", "journal_bytes")
    assert all(f"allot_{name}" in found for name in gauges)
    assert found["process_resident_memory_bytes"] > 0


def test_several_threads_may_count_at_once():
    metrics = Metrics()
    channel, outcome = np.zeros(10, np.int64), np.ones(10, np.uint8)

    def report() -> None:
        for _ in range(500):
            metrics.decided(channel, outcome, NAMES.__getitem__)
            metrics.committed(10, 0.001)
            metrics.rejected("X")

    threads = [threading.Thread(target=report) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        list(metrics.registry.collect())
    for thread in threads:
        thread.join()
    value = metrics.registry.get_sample_value
    assert value("allot_orders_total", {"channel": "WEB", "outcome": "allocated"}) == 20_000
    assert value("allot_commits_total") == value("allot_rejected_total", {"reason": "X"}) == 2000


def test_two_servers_of_one_program_count_apart():
    one, other = Metrics(), Metrics()
    one.committed(1, 0.1)
    assert other.registry.get_sample_value("allot_commits_total") == 0


# --- the log ---


def logged(**event: object) -> dict[str, object]:
    stream = io.StringIO()
    open_log(stream=stream).info("told", **event)
    found: dict[str, object] = json.loads(stream.getvalue())
    return found


def test_a_line_has_a_level_and_a_time_in_utc():
    line = logged(port=5, ok=True)
    assert (line["event"], line["level"], line["port"], line["ok"]) == ("told", "info", 5, True)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", str(line["timestamp"]))


def test_secrets_and_payloads_do_not_get_into_the_log():
    line = logged(
        authorization="Bearer s3cret",
        token="s3cret",
        tls_key="s3cret",
        password="s3cret",
        metadata=[("authorization", "Bearer s3cret"), ("user-agent", "x")],
        nested={"api_key": "s3cret", "list": [{"secret": b"s3cret"}]},
        text="sent 'authorization: Bearer s3cret', paid by 4111 1111 1111 1111, order 171-9198151-1101146",
        request=orders_pb2.PlaceOrderRequest(order={"customer": "s3cret"}),
        batch=b"s3cret",
        long="x" * 100_000,
    )
    assert "s3cret" not in json.dumps(line)
    assert line["text"] == ("sent 'authorization: Bearer [redacted]', paid by [redacted], order 171-9198151-1101146")
    assert line["request"] == "[PlaceOrderRequest, 10 bytes]"
    assert line["batch"] == "[6 bytes]"
    assert line["metadata"] == [["authorization", "[redacted]"], ["user-agent", "x"]]
    assert len(str(line["long"])) < 5000


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_fault_is_told_with_its_place_and_without_variables(form: str):
    stream = io.StringIO()
    log = open_log(form=form, stream=stream)
    customer = "".join(["s3", "cret"])  # a variable, not a line of the source
    try:
        raise ValueError("wrong " + "x" * 10_000)
    except ValueError as error:
        log.error("call failed", exc_info=error)
    assert "ValueError: wrong" in stream.getvalue()
    assert "test_a_fault_is_told" in stream.getvalue()
    assert customer not in stream.getvalue()
    assert len(stream.getvalue()) < 2000


def test_what_is_below_the_level_is_left_out():
    stream = io.StringIO()
    log = open_log("warning", stream=stream)
    log.info("quiet")
    log.warning("loud")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["loud"]


def test_what_libraries_say_goes_the_same_way():
    stream = io.StringIO()
    library = logging.Logger("grpc")
    library.addHandler(Forward(open_log(stream=stream)))
    library.error("sent %s", "Bearer s3cret")
    line = json.loads(stream.getvalue())
    assert (line["event"], line["logger"], line["level"]) == ("sent Bearer [redacted]", "grpc", "error")
