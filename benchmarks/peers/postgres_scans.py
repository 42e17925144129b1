"""PostgreSQL as a peer of the life of orders: scans of parcels in batches, each a transaction that is synced.

A table of shipments by tracking number and one of their time line: a batch is copied into a temporary table, the
shipments it names go on, and each scan is a row of the time line. Two clients take turns, as two batches are under way.
It keeps no books, decides nothing and tells nobody: what allot does beside that is in its favour.
"""

import asyncio
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.peers.peer import Missing
from benchmarks.peers.postgres import INSTALL_DRIVER, Cluster

CLIENTS, BATCHES = 2, 6
TABLES = """
CREATE TABLE shipment (number int PRIMARY KEY, tracking text UNIQUE, state smallint, scanned_at bigint);
CREATE TABLE timeline (shipment int, step smallint, at bigint, place text);
"""
TEMPORARY = "CREATE TEMP TABLE scanned (tracking text, step smallint, at bigint, place text) ON COMMIT DELETE ROWS"
TAKE = (
    "UPDATE shipment SET state = step, scanned_at = at FROM scanned WHERE shipment.tracking = scanned.tracking",
    "INSERT INTO timeline SELECT number, step, at, place FROM scanned JOIN shipment USING (tracking)",
)


def scans_per_second(folder: Path, shipments: int, batch: int) -> float:
    """Scans a second. folder: an empty one, for the cluster. Raises Missing."""
    try:
        import asyncpg
    except ImportError as error:
        raise Missing(INSTALL_DRIVER) from error

    async def run(socket: str) -> float:
        connections = [await asyncpg.connect(host=socket, user="allot", database="postgres") for _ in range(CLIENTS)]
        await connections[0].execute(TABLES)
        await connections[0].copy_records_to_table(
            "shipment", records=[(at, f"AWB-{at:07d}", 1, 0) for at in range(shipments)]
        )
        for connection in connections:
            await connection.execute(TEMPORARY)
        starts = [at * batch % shipments for at in range(BATCHES)]
        batches = [
            [(f"AWB-{at:07d}", 2, time.time_ns() // 1000, "hub") for at in range(one, one + batch)] for one in starts
        ]
        began = time.perf_counter()
        await asyncio.gather(*(_take(one, batches[at::CLIENTS]) for at, one in enumerate(connections)))
        seconds = time.perf_counter() - began
        assert await connections[0].fetchval("SELECT count(*) FROM timeline") == BATCHES * batch
        for connection in connections:
            await connection.close()
        return BATCHES * batch / seconds

    with TemporaryDirectory(prefix="allot-") as socket:  # whose path is short
        cluster = Cluster(folder, Path(socket))
        try:
            return asyncio.run(run(socket))
        finally:
            cluster.stop()


async def _take(connection: Any, batches: list[Any]) -> None:
    for records in batches:
        async with connection.transaction():
            await connection.copy_records_to_table("scanned", records=records)
            for statement in TAKE:
                await connection.execute(statement)
