"""The client as a shop installs it: a wheel of its own, in an environment that has it and what it needs, nothing else.

What it needs is copied from the environment of the tests, by the names in the wheel: no registry is asked.
"""

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from email.parser import Parser
from importlib.metadata import distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CLIENTS = ROOT / "clients"

_TRY = """
import importlib.util, json, sys
import allot_client
from allot.v1 import orders_pb2_grpc

with allot_client.Client("127.0.0.1:1", timeout=0.2, patience=0) as shop:
    try:
        shop.place_order(channel="own", order_id="A-1", postal_code="560001", lines=[("SKU-1", 2)])
        raised = ""
    except allot_client.Unavailable as error:
        raised = error.code.name
    try:
        shop.allocate("orders.csv")
        asked = ""
    except ImportError as error:
        asked = str(error)
there = [name for name in ("engine", "kernels", "server", "numba", "numpy", "pyarrow", "rich")
         if importlib.util.find_spec(name)]
print(json.dumps({"raised": raised, "asked": asked, "there": there, "from": allot_client.__file__}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # built beside a copy, so that nothing is left in the tree
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("clients", "proto"):
        shutil.copytree(ROOT / name, source / name, ignore=ignore)
    command = ["pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder]
    subprocess.run([sys.executable, "-m", *command, source / "clients"], check=True)
    (built,) = folder.glob("allot_client-*.whl")
    return built


def needed(requirements: list[str]) -> set[str]:
    """The names of distributions, and of those that they need in turn; none of extras or of other machines."""
    found: set[str] = set()
    waiting = [requirement for requirement in requirements if ";" not in requirement]
    while waiting:
        match = re.match(r"[\w.-]+", waiting.pop())
        if match and match.group() not in found:
            found.add(match.group())
            waiting += [one for one in distribution(match.group()).requires or () if ";" not in one]
    return found


def test_the_wheel_holds_the_client_and_the_contract(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = Parser().parsestr(archive.read("allot_client-0.1.0.dist-info/METADATA").decode())
    tops = {name.split("/")[0] for name in names}
    assert tops == {"allot_client", "allot", "allot_client-0.1.0.dist-info"}
    for path in (*CLIENTS.glob("allot_client/*.py"), *(ROOT / "proto").glob("allot/v1/*.py")):
        base = CLIENTS if "allot_client" in path.parts else ROOT / "proto"
        assert path.relative_to(base).as_posix() in names
    assert {"allot_client/py.typed", "allot/v1/py.typed", "allot/v1/orders.proto"} <= set(names)
    assert metadata["License-Expression"] == "Apache-2.0"
    assert needed(metadata.get_all("Requires-Dist", [])) <= {
        "grpcio", "protobuf", "googleapis-common-protos", "typing-extensions",
    }  # fmt: skip


def test_it_works_where_nothing_but_what_it_needs_is_installed(wheel: Path, tmp_path: Path):
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    asked = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = Path(subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip())
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    for name in needed(["grpcio", "protobuf", "googleapis-common-protos"]):
        for file in distribution(name).files or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                target = packages / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(str(file.locate()), target)
    ended = subprocess.run([python, "-I", "-c", _TRY], cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
    assert Path(found["from"]).is_relative_to(packages)
    assert (found["raised"], found["there"]) == ("UNAVAILABLE", [])
    assert "pip install 'allot-client[arrow]'" in found["asked"]


def test_the_license_and_the_version_are_those_of_the_whole():
    assert (CLIENTS / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    whole, client = (tomllib.loads((folder / "pyproject.toml").read_text())["project"] for folder in (ROOT, CLIENTS))
    assert whole["version"] == client["version"]
    assert f'VERSION = "{client["version"]}"' in (CLIENTS / "allot_client" / "connection.py").read_text()


def test_examples_of_the_readme_are_python():
    blocks = re.findall(r"```python\n(.*?)```", (CLIENTS / "README.md").read_text(), re.DOTALL)
    assert len(blocks) >= 6
    for block in blocks:
        compile(block, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
