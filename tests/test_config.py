"""Settings: which source wins, where a value came from, and what is said of one that will not do."""

from pathlib import Path

import pytest

from server.config import FIELDS, Settings, SettingsError, is_loopback, load, parse_address
from tests.command_line import run


def file(folder: Path, text: str) -> Path:
    path = folder / "allot.toml"
    path.write_text(text)
    return path


def fault(flags: dict[str, object] | None = None, config: Path | None = None, **environment: str) -> str:
    with pytest.raises(SettingsError) as raised:
        load(flags or {}, config, environment)
    return str(raised.value)


def test_a_flag_wins_over_the_environment_that_over_the_file_that_over_the_default(tmp_path: Path):
    config = file(tmp_path, "streams_max = 2\nqueue_batches_max = 2\nqueue_requests_max = 2\n")
    environment = {"ALLOT_STREAMS_MAX": "3", "ALLOT_QUEUE_REQUESTS_MAX": "3"}
    settings = load({"streams_max": "4", "listen": None}, config, environment)
    assert (settings.streams_max, settings.origin("streams_max")) == (4, "flag --streams-max")
    assert (settings.queue_requests_max, settings.origin("queue_requests_max")) == (
        3,
        "environment ALLOT_QUEUE_REQUESTS_MAX",
    )
    assert (settings.queue_batches_max, settings.origin("queue_batches_max")) == (2, f"file {config}")
    assert (settings.listen, settings.origin("listen")) == ("127.0.0.1:50051", "default")


def test_the_file_may_be_named_by_the_environment_and_a_flag_wins(tmp_path: Path):
    config = file(tmp_path, "streams_max = 2\n")
    (tmp_path / "other.toml").write_text("streams_max = 5\n")
    assert load({}, None, {"ALLOT_CONFIG": str(config)}).streams_max == 2
    assert load({}, tmp_path / "other.toml", {"ALLOT_CONFIG": str(config)}).streams_max == 5


def test_an_empty_variable_counts_as_not_set():
    settings = load({}, None, {"ALLOT_TLS_KEY": "", "ALLOT_CONFIG": "", "ALLOT_LISTEN": ""})
    assert settings == Settings()


def test_every_kind_of_value_can_come_from_the_environment():
    settings = load(
        {}, None, {"ALLOT_VIEWS": "false", "ALLOT_DRAIN_SECONDS_MAX": "2.5", "ALLOT_DATA": "/srv/allot", "OTHER": "x"}
    )
    assert (settings.views, settings.drain_seconds_max, settings.data) == (False, 2.5, Path("/srv/allot"))


def test_an_unknown_name_in_the_file_is_refused_with_the_nearest_known_one(tmp_path: Path):
    config = file(tmp_path, "queue-request-max = 5\nquite_something = 1\n")
    said = fault(config=config)
    assert said.splitlines() == [
        f"queue-request-max (file {config}): no such setting: did you mean queue_requests_max?",
        f"quite_something (file {config}): no such setting: `allot config` lists what can be set",
    ]


def test_a_fault_names_the_setting_the_value_its_origin_and_the_mend(tmp_path: Path):
    config = file(tmp_path, "message_bytes_max = 12\n")
    said = fault({"listen": "8080", "views": "perhaps"}, config, ALLOT_LOG_LEVEL="loud").splitlines()
    assert said[0].startswith("listen = '8080' (flag --listen): no port: write host:port")
    assert said[1].startswith("views = 'perhaps' (flag --views): ")
    assert said[2].startswith(f"message_bytes_max = 12 (file {config}): ")
    assert said[2].endswith("It is: Bytes of a message, 65,536 to 1,073,741,824.")
    assert said[3].startswith("log_level = 'loud' (environment ALLOT_LOG_LEVEL): ")
    assert len(said) == 4


@pytest.mark.parametrize("name", [name for name, field in FIELDS.items() if field.annotation in (int, float)])
def test_every_figure_has_a_least_and_a_most(name: str):
    for value in ("-1", "1e300", "nan", "many"):
        assert fault({name: value}).startswith(f"{name} = {value!r} (flag --{name.replace('_', '-')})")


def test_settings_that_do_not_fit_together_are_refused_with_their_origins():
    said = fault({"tls_key": "k.pem"})
    assert said == "tls_key without tls_certificate: give both for TLS, or neither (tls_key: flag --tls-key)"
    assert "tls_client_ca without tls_certificate" in fault({"tls_client_ca": "ca.pem"})
    said = fault({"memory_ahead_bytes": "2000", "memory_bytes_max": "1000"})
    assert said.startswith("memory_ahead_bytes of 2,000 is more than memory_bytes_max of 1,000: take less ahead")
    assert load({"memory_ahead_bytes": "2000"}, None, {}).memory_bytes_max == 0


def test_metrics_stay_on_this_machine():
    assert "metrics have no tokens" in fault({"metrics_listen": "0.0.0.0:9464"})
    assert load({"metrics_listen": "127.0.0.1:9464"}, None, {}).metrics_listen == "127.0.0.1:9464"


def test_a_file_that_is_not_there_or_not_toml_is_named(tmp_path: Path):
    missing = tmp_path / "missing.toml"
    assert fault(config=missing).startswith(f"{missing}: No such file or directory")
    assert "not TOML" in fault(config=file(tmp_path, "listen 5"))
    assert fault({"data": ""}).startswith("data = '' (flag --data): empty: name a path")


@pytest.mark.parametrize(
    ("text", "host", "port", "loopback"),
    [
        ("127.0.0.1:50051", "127.0.0.1", 50051, True),
        ("127.8.8.8:0", "127.8.8.8", 0, True),
        ("[::1]:1", "::1", 1, True),
        ("localhost:65535", "localhost", 65535, True),
        ("unix:/run/allot.sock", "unix:/run/allot.sock", 0, True),
        ("0.0.0.0:50051", "0.0.0.0", 50051, False),
        ("[::]:50051", "::", 50051, False),
        ("192.168.1.4:50051", "192.168.1.4", 50051, False),
        ("allot.example.com:443", "allot.example.com", 443, False),
        ("localhost.example.com:443", "localhost.example.com", 443, False),
        ("127.1:5", "127.1", 5, False),  # not an address that all programs read alike
    ],
)
def test_an_address_is_read(text: str, host: str, port: int, loopback: bool):
    address = parse_address(text)
    assert (address.host, address.port, str(address)) == (host, port, text)
    assert is_loopback(text) is loopback


@pytest.mark.parametrize(
    "text", ["", "50051", ":50051", "host", "::1:50051", "[::1]", "[x]:1", "host:65536", "host:-1", "host:٣", "a/b:1",
             " host:1", "unix:", "unix:/"],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str):
    with pytest.raises(ValueError, match=r"."):  # each fault says something
        parse_address(text)


def test_the_command_shows_every_setting_with_its_origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ALLOT_STREAMS_MAX", "7")
    config = file(tmp_path, 'data = "shop"\n')
    shown = run("config", "--config", config, "--no-views", "--listen", "[::1]:5", "--json").json
    assert list(shown) == list(FIELDS)
    assert shown["streams_max"] == {"value": 7, "origin": "environment ALLOT_STREAMS_MAX"}
    assert shown["data"] == {"value": "shop", "origin": f"file {config}"}
    assert shown["views"] == {"value": False, "origin": "flag --no-views"}
    assert shown["listen"] == {"value": "[::1]:5", "origin": "flag --listen"}
    table = run("config").out
    assert all(name in table for name in FIELDS)
    assert "environment ALLOT_STREAMS_MAX" in table


def test_the_command_lists_a_flag_for_every_setting_and_refuses_what_will_not_do():
    listed = run("config", "--help").out
    assert all(f"--{name.replace('_', '-')}" in listed for name in FIELDS)
    refused = run("config", "--streams-max", "0", "--listen", "x")
    assert (refused.code, refused.out) == (2, "")
    assert [line.split(" = ")[0] for line in refused.err.splitlines()] == ["allot: listen", "allot: streams_max"]
