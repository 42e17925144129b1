"""How a server is reached: its address, TLS, the token, keep-alive, limits, and how long a call may take.

`Options` are the keyword arguments of both clients. From them come the gRPC channel and what each call carries.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import grpc

DEFAULT_TARGET = "127.0.0.1:50051"
VERSION = "0.1.0"
_RECONNECT_MS_MIN, _RECONNECT_MS_MAX = 100, 2_000
_LOOPBACK = ("localhost", "127.", "[::1]", "unix:", "ipv4:127.", "ipv6:[::1]", "dns:localhost", "dns:///localhost")


class Options(TypedDict, total=False):
    """What may be given to a client beside the address."""

    timeout: float  # seconds that a call may take with its repeats, where the call says nothing else; 10
    patience: float  # seconds to go on trying while no server answers: calls within their timeout, streams; 60
    tls: bool  # TLS with the certificate authorities that gRPC knows
    ca_file: Path | str | None  # TLS with the certificate authorities of this PEM file
    certificate_file: Path | str | None  # the client's own certificate, PEM; with key_file
    key_file: Path | str | None  # its key, PEM
    server_name: str  # the name in the server's certificate, where it is not that of the address
    token: str | None  # the token itself
    token_file: Path | str | None  # a file that holds it
    token_env: str | None  # an environment variable that holds it
    keepalive: float  # seconds of silence after which the server is pinged; 30
    message_bytes_max: int  # of an answer; 64 MiB


@dataclass(frozen=True)
class Connection:
    """Options with their defaults, checked. Raises ValueError, OSError for a file that cannot be read."""

    target: str = DEFAULT_TARGET
    timeout: float = 10
    patience: float = 60
    tls: bool = False
    ca_file: Path | str | None = None
    certificate_file: Path | str | None = None
    key_file: Path | str | None = None
    server_name: str = ""
    token: str | None = None
    token_file: Path | str | None = None
    token_env: str | None = None
    keepalive: float = 30
    message_bytes_max: int = 64 << 20

    def __post_init__(self) -> None:
        if not self.target:
            raise ValueError(f"target: is empty; name host:port, such as {DEFAULT_TARGET}")
        if not self.timeout > 0:
            raise ValueError(f"timeout: {self.timeout}: give seconds above 0")
        if not self.patience >= 0:
            raise ValueError(f"patience: {self.patience}: give seconds, 0 or more")
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file: give both or neither")

    @property
    def is_secure(self) -> bool:
        """Whether the channel is encrypted."""
        return self.tls or self.ca_file is not None or self.certificate_file is not None

    def credentials(self) -> grpc.ChannelCredentials | None:
        """Those of the TLS channel; None for a plain one."""
        if not self.is_secure:
            return None
        roots, key, chain = (
            Path(file).read_bytes() if file is not None else None
            for file in (self.ca_file, self.key_file, self.certificate_file)
        )
        return grpc.ssl_channel_credentials(roots, key, chain)

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What each call carries: the token, where there is one."""
        token = self._token()
        if token is None:
            return ()
        if not self.is_secure and not self.target.startswith(_LOOPBACK):
            raise ValueError(f"token: is sent over TLS only, and {self.target} is no loopback: give tls or ca_file")
        return (("authorization", f"Bearer {token}"),)

    def _token(self) -> str | None:
        given = [name for name in ("token", "token_file", "token_env") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)}: give one of them")
        if not given:
            return None
        if self.token_file is not None:
            token = Path(self.token_file).read_text()
        elif self.token_env is not None:
            token = os.environ.get(self.token_env, "")
        else:
            token = self.token or ""
        token = token.strip()
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            where = self.token_file or self.token_env or "token"  # never the token itself
            raise ValueError(f"{given[0]}: {where} holds no token: one word of ASCII characters")
        return token

    def channel_options(self) -> list[tuple[str, str | int]]:
        """What gRPC is told. It does not repeat calls by itself: this client does, and knows until when."""
        options: list[tuple[str, str | int]] = [
            ("grpc.primary_user_agent", f"allot-client/{VERSION}"),
            ("grpc.enable_retries", 0),
            ("grpc.max_receive_message_length", self.message_bytes_max),
            ("grpc.max_send_message_length", -1),  # the server has its limit, and says so
            ("grpc.keepalive_time_ms", max(1, round(self.keepalive * 1000))),
            ("grpc.keepalive_timeout_ms", 20_000),
            ("grpc.http2.max_pings_without_data", 0),  # a watcher may hear nothing for long
            ("grpc.initial_reconnect_backoff_ms", _RECONNECT_MS_MIN),
            ("grpc.min_reconnect_backoff_ms", _RECONNECT_MS_MIN),
            ("grpc.max_reconnect_backoff_ms", _RECONNECT_MS_MAX),
        ]
        if self.server_name:
            options.append(("grpc.ssl_target_name_override", self.server_name))
        return options
