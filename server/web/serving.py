"""A web application on an address, until a signal."""

from collections.abc import Callable
from typing import Any

CONNECTIONS_MAX = 256  # at once; who comes beyond it is told to come again


def serve_app(app: Any, listen: str, announce: Callable[[str], None], behind_proxy: bool = False) -> int:
    """Serve until SIGTERM or SIGINT; the exit code. announce: told of the address once it listens. behind_proxy: TLS
    ends before it, so that others than this machine may come. Raises ValueError where the address will not do."""
    import asyncio

    import uvicorn

    from server.config import parse_address

    address = parse_address(listen)
    if not address.is_loopback and not behind_proxy:
        raise ValueError(
            f"{listen}: it speaks plain HTTP, and others may come there: give 127.0.0.1:PORT; or for webhooks "
            "--behind-proxy, where TLS ends before them"
        )
    server = uvicorn.Server(
        uvicorn.Config(
            app, address.host, address.port, log_config=None, access_log=False, server_header=False,
            limit_concurrency=CONNECTIONS_MAX,
        )
    )  # fmt: skip

    async def main() -> None:
        serving = asyncio.ensure_future(server.serve())
        while not server.started and not serving.done():
            await asyncio.sleep(0.01)
        if server.started:
            socket = server.servers[0].sockets[0].getsockname()
            announce(f"http://{socket[0]}:{socket[1]}")
        await serving

    try:
        asyncio.run(main())
    except SystemExit as error:  # it could not listen: somebody else does
        raise OSError(f"{listen}: nothing can listen there: name another address") from error
    except KeyboardInterrupt:  # it has ended well, and says the signal again
        pass
    return 0
