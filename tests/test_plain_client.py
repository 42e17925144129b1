"""Clients that know the contract alone: stubs generated from the .proto files in an empty folder, and `buf curl`, which
asks the server itself."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import Server

ROOT = Path(__file__).resolve().parents[1]
PROTO = ROOT / "proto"
README = (ROOT / "README.md").read_text()
BUF = Path(sys.executable).parent / "buf"
SHOP = """
import sys
sys.path.insert(0, "STUBS")
import grpc
from allot.v1 import catalogue_pb2, catalogue_pb2_grpc, orders_pb2, orders_pb2_grpc
from allot.v1 import stock_pb2, stock_pb2_grpc, types_pb2
assert orders_pb2.__file__.startswith("STUBS"), orders_pb2.__file__
with grpc.insecure_channel("ADDRESS") as channel:
    catalogue = catalogue_pb2_grpc.CatalogueServiceStub(channel)
    node = catalogue_pb2.Node(node_id="BLR", postal_code="560001")
    catalogue.PutNodes(catalogue_pb2.PutNodesRequest(request_id="n", nodes=[node]))
    catalogue.PutChannel(catalogue_pb2.PutChannelRequest(request_id="c", channel=catalogue_pb2.Channel(channel="own")))
    row = stock_pb2.StockRow(sku="SKU-1", node_id="BLR", quantity=10)
    stock_pb2_grpc.StockServiceStub(channel).ReceiveStock(stock_pb2.ReceiveStockRequest(request_id="s", rows=[row]))
    lines = [types_pb2.LineDraft(sku="SKU-1", quantity=2)]
    order = types_pb2.OrderDraft(channel="own", order_id="A-1", postal_code="560034", lines=lines)
    request = orders_pb2.PlaceOrderRequest(order=order)
    decision = orders_pb2_grpc.OrderServiceStub(channel).PlaceOrder(request, timeout=10).decision
    print(decision.outcome, decision.parts[0].node_id, decision.parts[0].quantity)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory):
    running = Server(tmp_path_factory.mktemp("plain") / "folder")
    yield running
    assert running.stop() == 0


def test_a_plain_grpcio_client_built_from_the_proto_files_places_an_order(server: Server, tmp_path: Path):
    protos = [str(path) for path in sorted((PROTO / "allot" / "v1").glob("*.proto"))]
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}", f"--python_out={stubs}", f"--grpc_python_out={stubs}",
         *protos], check=True,
    )  # fmt: skip
    shop = tmp_path / "shop.py"
    shop.write_text(SHOP.replace("STUBS", str(stubs)).replace("ADDRESS", server.address))
    said = subprocess.run([sys.executable, "-P", str(shop)], check=True, capture_output=True, text=True, cwd=tmp_path)
    assert said.stdout.split() == ["1", "BLR", "2"]


def test_the_first_order_of_the_readme_is_five_lines_and_works(server: Server, tmp_path: Path):
    block = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[0]
    assert len([line for line in block.splitlines() if line]) == 5
    shop = tmp_path / "shop.py"
    shop.write_text(block.replace("127.0.0.1:50051", server.address))
    said = subprocess.run([sys.executable, str(shop)], check=True, capture_output=True, text=True)
    assert "OUTCOME_ALLOCATED" in said.stdout


def test_the_buf_curl_of_the_readme_places_an_order_by_reflection(server: Server):
    (line,) = re.findall(r"^buf curl.*$", README, re.MULTILINE)
    command = shlex.split(line.replace("127.0.0.1:50051", server.address))
    said = subprocess.run([str(BUF), *command[1:]], check=True, capture_output=True, text=True)
    assert json.loads(said.stdout)["decision"]["outcome"] == "OUTCOME_ALLOCATED"
