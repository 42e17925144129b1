"""`kill -9` of the real server under load, over and over on one folder: everything acknowledged is there with an equal
answer, everything else is whole or absent, nothing is there twice."""

from collections import Counter
from pathlib import Path

import pytest

from allot_client import Client
from tests.command_line import run
from tests.crash_clients import Clients, verified
from tests.running import Server

FLAGS = ("--no-views", "--drain-seconds-max=1")
LOAD_SECONDS = (0.03, 0.35)


def killed_over_and_over(folder: Path, seed: int, rounds: int) -> Clients:
    clients = Clients(seed)
    server = Server(folder, *FLAGS)
    try:
        clients.furnish(server.address)
        for number in range(rounds):
            clients.load(server.address, clients.chance.uniform(*LOAD_SECONDS), server.kill)
            verified(folder)
            server = Server(folder, *FLAGS)
            try:
                clients.settle(server.address)
            except BaseException:
                print(f"seed {seed}, round {number}:\n{''.join(server.log)}")
                raise
        clients.settle_all(server.address)
        check_in_all(folder, clients, server.address)
        assert server.stop() == 0, "".join(server.log)
    finally:
        if server.process.poll() is None:
            server.kill()
    return clients


def check_in_all(folder: Path, clients: Clients, address: str) -> None:
    """Nothing is there twice, and nothing that nobody asked for."""
    numbers = Counter(clients.numbers())
    assert [number for number, times in numbers.items() if times > 1] == []
    assert verified(folder).orders == len(numbers)
    with Client(address) as client:
        cells = list(client.list_stock())
    on_hand = {(cell.sku, cell.node_id): cell.on_hand for cell in cells if cell.on_hand}
    assert on_hand == clients.received()
    assert all(cell.reserved + cell.allocated <= cell.on_hand for cell in cells)


def check_that_it_was_a_trial(clients: Clients, rounds: int) -> None:
    """Every kind of request was answered, and the kills met requests at work."""
    answered = Counter(asked.call.name.split("/")[1] for asked in clients.settled)
    assert set(answered) == {
        "PlaceOrder", "CancelOrder", "Reserve", "Confirm", "Release", "ReceiveStock", "AllocateBatches",
        "ReallocateOrders",
    }  # fmt: skip
    assert clients.counts["answered"] > 20 * rounds, clients.counts
    assert clients.counts["unanswered"] > 2 * rounds, clients.counts
    assert clients.counts["was absent"] > 0, clients.counts
    assert clients.counts["was there"] > 0, clients.counts


def test_what_was_acknowledged_outlives_twenty_kills(tmp_path: Path) -> None:
    clients = killed_over_and_over(tmp_path / "data", seed=1, rounds=20)
    check_that_it_was_a_trial(clients, 20)
    checked = run("verify", "--data", tmp_path / "data", "--json")
    assert checked.code == 0, checked
    assert checked.json["orders"] == len(clients.numbers())


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 12))
def test_what_was_acknowledged_outlives_five_hundred_kills(tmp_path: Path, seed: int) -> None:
    check_that_it_was_a_trial(killed_over_and_over(tmp_path / "data", seed, rounds=50), 50)
