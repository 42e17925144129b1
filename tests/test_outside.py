"""The file that says who is outside: what it holds, and what is told where it will not do."""

from pathlib import Path

import pytest

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
[gateways.test]
kind = "local"
url = "http://127.0.0.1:8091"
webhook_secret = "w"
[carriers.swift]
kind = "local"
url = "https://carrier.example"
"""))  # fmt: skip
    assert found.gateways["razorpay"] == Party("razorpay", "razorpay", key_id="rzp_1", key_secret="s")
    assert found.gateways["test"] == Party("test", "local", "http://127.0.0.1:8091", "w")
    assert found.carriers["swift"].url == "https://carrier.example"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("x", "no TOML"), ("[banks.a]", r"\[banks\]"), ("gateways = 3", "gateways"), ("[gateways]\na = 3", "table"),
        ("[gateways.paypal]", "kind: 'paypal'"), ("[gateways.stripe]", "api_key: it is missing"),
        ("[gateways.stripe]\napi_key = 7", "api_key: give a text"), ("[gateways.local]\nurl = 'ftp://x'", "url"),
        ("[gateways.stripe]\napi_key = 'k'\nkey_id = 'x'", "key_id: a stripe has no such setting"),
        ("[gateways.'../../x']\nkind = 'stripe'\napi_key = 'k'", "name of 1 to 32"),
        ("[carriers.a]\nkind = 'stripe'", "kind"),
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
