"""The contract: stubs that are those of the protocol files, comments everywhere, and no change that breaks a client.

`proto/baseline.binpb` is the contract of the last release; `make baseline` renews it at a release.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROTO = ROOT / "proto"
FILES = sorted(path.relative_to(PROTO) for path in PROTO.rglob("*.proto"))
BASELINE = PROTO / "baseline.binpb"


def buf(cache: Path, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """`buf` of the development dependencies (the wheel buf-bin). It asks no network: the contract imports nothing."""
    return subprocess.run(
        [Path(sys.executable).with_name("buf"), *map(str, arguments)],
        capture_output=True, text=True, env=os.environ | {"BUF_CACHE_DIR": str(cache)},
    )  # fmt: skip


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The protocol files, to be changed."""
    return Path(
        shutil.copytree(PROTO, tmp_path / "proto", ignore=shutil.ignore_patterns("*.py", "*.pyi", "__pycache__"))
    )


def change(folder: Path, file: str, pattern: str, by: str) -> None:
    path = folder / "allot/v1" / file
    changed, count = re.subn(pattern, by, path.read_text(), count=1, flags=re.M)
    assert count == 1, pattern
    path.write_text(changed)


def test_the_stubs_are_those_of_the_protocol_files(tmp_path: Path):
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}", f"--python_out={tmp_path}", f"--pyi_out={tmp_path}",
         f"--grpc_python_out={tmp_path}", *map(str, FILES)],
        check=True, cwd=PROTO,
    )  # fmt: skip
    made = {path.relative_to(tmp_path): path.read_text() for path in tmp_path.rglob("*_pb2*.py*")}
    kept = {path.relative_to(PROTO): path.read_text() for path in PROTO.rglob("*_pb2*.py*") if path.suffix != ".pyc"}
    assert set(made) == set(kept), "run `make proto`"
    assert [str(path) for path in made if made[path] != kept[path]] == [], "run `make proto`"
    assert len(made) == 3 * len(FILES)


def test_the_contract_follows_the_rules_and_everything_in_it_has_a_comment(tmp_path: Path):
    linted = buf(tmp_path, "lint", PROTO)
    assert (linted.returncode, linted.stdout, linted.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("file", "comment", "rule"),
    [
        ("orders.proto", r"^service OrderService", "COMMENT_SERVICE"),
        ("orders.proto", r"^  rpc GetOrder\(", "COMMENT_RPC"),
        ("orders.proto", r"^message GetOrderRequest", "COMMENT_MESSAGE"),
        ("orders.proto", r"^  bool is_reservation = 3;", "COMMENT_FIELD"),
        ("orders.proto", r"^  oneof result", "COMMENT_ONEOF"),
        ("types.proto", r"^enum Stage", "COMMENT_ENUM"),
        ("types.proto", r"^  STAGE_PICKED = 4;", "COMMENT_ENUM_VALUE"),
    ],
)
def test_a_comment_that_is_missing_is_noticed(copy: Path, tmp_path: Path, file: str, comment: str, rule: str):
    change(copy, file, rf"(?:^ *//.*\n)+(?={comment})", "")
    linted = buf(tmp_path, "lint", copy)
    assert linted.returncode != 0
    # Named by its message, as rules are listed by name in machine formats only.
    assert rule in buf(tmp_path, "lint", copy, "--error-format", "json").stdout


def test_nothing_breaks_the_clients_of_the_last_release(tmp_path: Path):
    compared = buf(tmp_path, "breaking", PROTO, "--against", BASELINE)
    assert (compared.returncode, compared.stdout, compared.stderr) == (0, "", ""), (
        "a released client would break: keep what is there, or add beside it"
    )


@pytest.mark.parametrize(
    ("file", "pattern", "by"),
    [
        ("orders.proto", r"^  bool is_reservation = 3;", ""),  # a field removed
        ("orders.proto", r"is_reservation = 3;", "is_reservation = 99;"),  # renumbered
        ("orders.proto", r"bool is_reservation = 3;", "int64 is_reservation = 3;"),  # of another type
        ("orders.proto", r"is_reservation = 3;", "is_cart = 3;"),  # renamed
        ("types.proto", r"^  repeated LineDraft lines = 4;", "  LineDraft lines = 4;"),  # one instead of many
        ("types.proto", r"^  STAGE_PICKED = 4;", ""),  # a value removed
        ("orders.proto", r"^  rpc GetOrder\(.*$", ""),  # a call removed
        ("orders.proto", r"rpc GetOrder\(GetOrderRequest\)", "rpc GetOrder(ListOrdersRequest)"),
        ("orders.proto", r"\(stream PlaceOrdersRequest\)", "(PlaceOrdersRequest)"),
        ("orders.proto", r"^package allot.v1;", "package allot.v2;"),
    ],
)
def test_a_change_that_breaks_clients_is_noticed(copy: Path, tmp_path: Path, file: str, pattern: str, by: str):
    change(copy, file, pattern, by)
    if "v2" in by:  # wholly, so that it builds
        for path in (copy / "allot/v1").glob("*.proto"):
            path.write_text(path.read_text().replace("package allot.v1;", by))
    built = buf(tmp_path, "build", copy)
    assert built.returncode == 0, built.stderr
    assert buf(tmp_path, "breaking", copy, "--against", BASELINE).returncode != 0


@pytest.mark.parametrize(
    ("file", "pattern", "by"),
    [
        ("orders.proto", r"^  bool is_reservation = 3;", r"\g<0>\n  // New.\n  bool new = 99;"),
        ("types.proto", r"^  STAGE_RESERVED = 10;", r"\g<0>\n  // New.\n  STAGE_NEW = 11;"),
        (
            "orders.proto",
            r"^  rpc GetOrder\(",
            r"  // New.\n  rpc New(GetOrderRequest) returns (GetOrderResponse);\n\g<0>",
        ),
    ],
)
def test_what_is_added_breaks_nobody(copy: Path, tmp_path: Path, file: str, pattern: str, by: str):
    change(copy, file, pattern, by)
    compared = buf(tmp_path, "breaking", copy, "--against", BASELINE)
    assert (compared.returncode, compared.stdout, compared.stderr) == (0, "", "")
