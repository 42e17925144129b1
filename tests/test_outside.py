"""The file that says who is outside: what it holds, and what is told where it will not do."""

import subprocess
import sys
from pathlib import Path

import pytest

from engine.payments import capability, kind_of
from kernels.life import PayMethod
from server.outside import Outside, OutsideError, Party
from tests.command_line import run


def written(path: Path, content: str, mode: int = 0o600) -> Path:
    path.write_text(content)
    path.chmod(mode)
    return path


def test_gateways_and_carriers_by_name(tmp_path: Path):
    found = Outside.read(written(tmp_path / "o.toml", """
[gateways.razorpay]
key_id = "rzp_1"
key_secret = "s"
[gateways.razorpay-shop]
kind = "razorpay"
key_id = "rzp_2"
key_secret = "s"
[gateways.local-test]
url = "http://127.0.0.1:8091"
webhook_secret = "w"
[carriers.swift]
kind = "local"
url = "https://carrier.example"
"""))  # fmt: skip
    assert found.gateways["razorpay"] == Party("razorpay", "razorpay", key_id="rzp_1", key_secret="s")
    assert found.gateways["razorpay-shop"].kind == "razorpay"
    assert found.gateways["local-test"] == Party("local-test", "local", "http://127.0.0.1:8091", "w")
    assert found.carriers["swift"].url == "https://carrier.example"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("x", "no TOML"), ("[banks.a]", r"\[banks\]"), ("gateways = 3", "gateways"), ("[gateways]\na = 3", "table"),
        ("[gateways.paypal]", "kind: 'paypal'"), ("[gateways.stripe]", "api_key: it is missing"),
        ("[gateways.stripe]\napi_key = 7", "api_key: give a text"), ("[gateways.local]\nurl = 'ftp://x'", "url"),
        ("[gateways.stripe]\napi_key = 'k'\nkey_id = 'x'", "key_id: a stripe has no such setting"),
        ("[gateways.'../../x']\nkind = 'stripe'\napi_key = 'k'", "name of 1 to 32"),
        ("[carriers.a]\nkind = 'stripe'", "kind"), ("[carriers.a]\nurl = 'http://x'", "kind: 'a'"),
        ("[gateways.shop]\nkind = 'stripe'\napi_key = 'k'", "name it stripe-shop"),
        ("[gateways.stripe]\nkind = 'local'\nurl = 'http://x'", "name it local-stripe"),
    ],
)  # fmt: skip
def test_what_will_not_do_is_told_with_its_place(tmp_path: Path, content: str, said: str):
    path = written(tmp_path / "o.toml", content)
    with pytest.raises(OutsideError, match=said) as refused:
        Outside.read(path)
    assert str(path) in str(refused.value)
    found = run("worker", "payments", "--outside", path, "--cursors", tmp_path / "done")
    assert (found.code, "Traceback" in found.err) == (2, False)


def test_a_file_that_others_may_read_is_refused(tmp_path: Path):
    path = written(tmp_path / "o.toml", "[gateways.stripe]\napi_key = 'k'", 0o644)
    with pytest.raises(OutsideError, match="chmod 600"):
        Outside.read(path)


def test_a_kind_is_what_a_name_begins_with():
    assert [kind_of(name) for name in ("razorpay", "razorpay-shop-2", "stripe-eu", "own")] == [
        "razorpay", "razorpay", "stripe", "own",
    ]  # fmt: skip
    assert capability("razorpay-shop", PayMethod.CARD) == capability("razorpay", PayMethod.CARD)
    assert not capability("razorpay-shop", PayMethod.CARD).saved
    assert capability("stripe-eu", PayMethod.CARD).saved


def test_what_those_outside_are_started_with(tmp_path: Path):
    outside = written(tmp_path / "o.toml", "[gateways.stripe]\napi_key = 'k'")
    secret = written(tmp_path / "secret", "s")
    for command, said in (
        (("local", "gateway"), "ALLOT_LOCAL_SECRET"), (("local", "carrier"), "ALLOT_LOCAL_SECRET"),
        (("local", "gateway", "--secret-file", written(tmp_path / "empty", "\n")), "ALLOT_LOCAL_SECRET"),
        (("local", "gateway", "--secret-file", tmp_path / "nowhere"), "No such file"),
        (("local", "gateway", "--secret-file", secret, "--listen", "0.0.0.0:0"), "127.0.0.1"),
        (("worker", "webhooks", "--outside", outside, "--listen", "0.0.0.0:0"), "127.0.0.1"),
    ):  # fmt: skip
        found = run(*command)
        assert (found.code, said in found.err, "Traceback" in found.err) == (2, True, False), found.err


def test_behind_what_ends_tls_webhooks_listen_anywhere(tmp_path: Path):
    """On an address that is not of this machine: it is tried."""
    outside = written(tmp_path / "o.toml", "[gateways.stripe]\napi_key = 'k'")
    command = [
        sys.executable, "-m", "server.cli.main", "worker", "webhooks", f"--outside={outside}", "--listen=192.0.2.1:80",
        "--behind-proxy",
    ]  # fmt: skip
    found = subprocess.run(command, timeout=60, capture_output=True, text=True, check=False)
    assert (found.returncode, "nothing can listen there" in found.stderr) == (2, True), found.stderr
