"""Settings of the service: a flag wins over an ALLOT_ variable, that over the TOML file, that over the default.

`load` merges the four and remembers where each value came from; `server.wiring` gives the parts what they need of it.
Secrets are never settings: certificates, keys and tokens are files, and settings name the files.
"""

import difflib
import ipaddress
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo

from server.workers.redis_address import Address as RedisAddress
from server.workers.redis_address import budgets, check_prefix

PREFIX = "ALLOT_"
CONFIG_VARIABLE = "ALLOT_CONFIG"
DEFAULT = "default"
_DIRECT = "given"  # Settings that a test or another program made without `load`


class SettingsError(ValueError):
    """Settings that will not do: a line for each, with the setting, its value, where it came from, and the mend."""


class Address(NamedTuple):
    """Where to listen: a host and a port, or the path of a Unix socket with port 0."""

    host: str
    port: int

    @property
    def is_unix(self) -> bool:
        return self.host.startswith("unix:")

    @property
    def is_loopback(self) -> bool:
        """Whether only programs on this machine reach it. A name other than localhost may lead anywhere."""
        if self.is_unix or self.host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        if self.is_unix:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """`127.0.0.1:50051`, `[::1]:50051`, `localhost:0` (any free port) or `unix:/run/allot.sock`."""
    if text.startswith("unix:"):
        if not text.removeprefix("unix:").lstrip("/"):
            raise ValueError("no path: write unix:/run/allot.sock")
        return Address(text, 0)
    host, colon, port = text.rpartition(":")
    if not colon:
        raise ValueError("no port: write host:port, as 127.0.0.1:50051")
    if host.startswith("[") and host.endswith("]"):
        host = str(ipaddress.IPv6Address(host[1:-1]))
    elif ":" in host:
        raise ValueError("an IPv6 address needs brackets: write [::1]:50051")
    if not host or host != host.strip() or "/" in host:
        raise ValueError("no host: write host:port, as 127.0.0.1:50051 for this machine alone")
    if not (port.isascii() and port.isdigit() and int(port) <= 65535):
        raise ValueError("a port is 0 to 65535, 0 for any free one: write host:port, as 127.0.0.1:50051")
    return Address(host, int(port))


def is_loopback(address: str) -> bool:
    """Whether only programs on this machine reach the address."""
    return parse_address(address).is_loopback


class Settings(BaseModel):
    """What can be set. Each description is the help of its flag: what it is, its unit and its range."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    data: Path | None = Field(None, description="Data folder; made where there is none.")
    listen: str = Field("127.0.0.1:50051", description="host:port or unix:path. Beyond loopback: needs TLS and tokens.")
    metrics_listen: str = Field("", description="host:port of Prometheus metrics, loopback only; empty: none.")
    tls_certificate: Path | None = Field(None, description="PEM file: the server's certificate and its chain.")
    tls_key: Path | None = Field(None, description="PEM file: the certificate's private key, not encrypted.")
    tls_client_ca: Path | None = Field(
        None, description="PEM file: who signs clients' certificates; then all need one."
    )
    tokens: Path | None = Field(None, description="TOML file of tokens; `allot token` makes its lines.")
    customer_key: Path | None = Field(
        None, description="File of 32 random bytes or more, with which shops sign tokens of customers. Needs tokens."
    )
    postal_codes: str = Field("india", description="Built-in places: india, none, or a CSV file of postal codes.")
    policy: Literal["nearest", "least-cost"] = Field("nearest", description="How nodes are chosen for orders")
    rate_card: Path | None = Field(None, description="TOML file of what shipments cost; for policy least-cost.")
    stock_lasts_days: float = Field(14, ge=0.1, le=3650, description="Days until more stock comes; for least-cost.")
    service_card: Path | None = Field(None, description="TOML file of carriers' services and nodes' hours: promises.")
    views: bool = Field(True, description="Keep the tables that lists are read from.")
    snapshots: bool = Field(True, description="Write snapshots in the background, so that a start replays less.")
    upkeep_hour: int = Field(20, ge=0, le=23, description="Hour of the day, UTC, at which old rows and keys are freed.")
    reflection: bool = Field(True, description="Tell clients the contract, as grpcurl and the like ask for it.")

    redis: str = Field("", description="URL of the Redis that is told what channels may sell; empty: none.")
    redis_password_file: Path | None = Field(None, description="File that holds Redis' password.")
    redis_prefix: str = Field("allot", description="Begins the name of each key in Redis.")
    redis_budgets: str = Field("", description="SKUs that channels take a second: amazon=10,flipkart=100; others: all.")

    message_bytes_max: int = Field(16 << 20, ge=1 << 16, le=1 << 30, description="Bytes of a message.")
    queue_requests_max: int = Field(4096, ge=1, le=1 << 20, description="Requests that may wait for a commit.")
    queue_batches_max: int = Field(64, ge=1, le=1 << 16, description="Arrow batches that may wait for a commit.")
    memory_bytes_max: int = Field(
        0, ge=0, description="Bytes of memory up to which new orders are taken; 0: four fifths of the machine's."
    )
    memory_ahead_bytes: int = Field(
        0, ge=0, description="Bytes of memory taken at the start for orders to come, about 220 each; for a surge."
    )
    batch_orders_max: int = Field(16_384, ge=1, le=16_384, description="Orders of a batch, and of a commit.")
    batch_lines_max: int = Field(65_536, ge=500, le=65_536, description="Order lines of a batch, and of a commit.")
    streams_max: int = Field(1024, ge=1, le=1 << 16, description="Streams that are open at once.")
    connection_streams_max: int = Field(1024, ge=1, le=1 << 16, description="Calls open at once on one connection.")

    keepalive_seconds: float = Field(60, ge=1, le=86_400, description="Seconds of silence before a client is pinged.")
    keepalive_timeout_seconds: float = Field(20, ge=1, le=3600, description="Seconds in which a ping must be answered.")
    ping_seconds_min: float = Field(10, ge=0, le=3600, description="Seconds between pings of a client, at least.")
    drain_seconds_max: float = Field(10, ge=0, le=3600, description="Seconds that open calls get when it stops.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least that is logged.")
    log_format: Literal["json", "text"] = Field("json", description="One JSON object a line, or text for people.")

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    @field_validator("listen")
    @classmethod
    def _listens_somewhere(cls, text: str) -> str:
        parse_address(text)
        return text

    @field_validator("metrics_listen")
    @classmethod
    def _metrics_stay_here(cls, text: str) -> str:
        address = parse_address(text) if text else None
        if address and (address.is_unix or not address.is_loopback):
            raise ValueError("metrics have no tokens, so they stay on this machine: write 127.0.0.1:9464")
        return text

    @field_validator(
        "data",
        "tls_certificate",
        "tls_key",
        "tls_client_ca",
        "tokens",
        "customer_key",
        "postal_codes",
        "rate_card",
        "redis_password_file",
        "service_card",
        mode="before",
    )
    @classmethod
    def _names_a_file(cls, path: Any) -> Any:
        if path == "":
            raise ValueError("empty: name a path, or leave it out")
        return path

    @field_validator("redis")
    @classmethod
    def _redis_is_somewhere(cls, text: str) -> str:
        if text:
            RedisAddress.parse(text)
        return text

    @field_validator("redis_prefix")
    @classmethod
    def _keys_stay_together(cls, prefix: str) -> str:
        check_prefix(prefix)
        return prefix

    @field_validator("redis_budgets")
    @classmethod
    def _budgets_can_be_read(cls, text: str) -> str:
        budgets(text)
        return text

    @model_validator(mode="after")
    def _costs_are_known(self) -> "Settings":
        if (self.policy == "least-cost") != (self.rate_card is not None):
            raise ValueError("policy least-cost and rate_card belong together: give both, or neither")
        return self

    @model_validator(mode="after")
    def _memory_has_room_for_what_is_ahead(self) -> "Settings":
        if self.memory_bytes_max and self.memory_ahead_bytes > self.memory_bytes_max:
            raise ValueError(
                f"memory_ahead_bytes of {self.memory_ahead_bytes:,} is more than memory_bytes_max of "
                f"{self.memory_bytes_max:,}: take less ahead, or raise the limit"
            )
        return self

    @model_validator(mode="after")
    def _relay_may_call(self) -> "Settings":
        if self.redis and (self.tls_certificate or self.tokens):
            raise ValueError(
                "redis with tls_certificate or tokens: the relay needs a token of its own then: leave redis out, and "
                "run `allot relay --redis URL --token-file FILE --ca FILE` beside the server"
            )
        return self

    @model_validator(mode="after")
    def _tls_is_whole(self) -> "Settings":
        if (self.tls_certificate is None) != (self.tls_key is None):
            given, missing = ("tls_certificate", "tls_key") if self.tls_certificate else ("tls_key", "tls_certificate")
            raise ValueError(f"{given} without {missing}: give both for TLS, or neither")
        if self.customer_key and not self.tokens:
            raise ValueError("customer_key without tokens: everyone is an operator then: give both, or neither")
        if self.tls_client_ca and not self.tls_certificate:
            raise ValueError("tls_client_ca without tls_certificate and tls_key: clients' certificates need TLS")
        return self

    def origin(self, name: str) -> str:
        """Where a value came from: `flag --listen`, `environment ALLOT_LISTEN`, `file allot.toml` or `default`."""
        return self._origins.get(name, _DIRECT if name in self.model_fields_set else DEFAULT)

    def rows(self) -> list[tuple[str, Any, str]]:
        """Each setting with its value and where that came from."""
        return [(name, getattr(self, name), self.origin(name)) for name in FIELDS]


FIELDS: Mapping[str, FieldInfo] = Settings.model_fields


def flag_of(name: str) -> str:
    """The option of a setting on the command line."""
    return "--" + name.replace("_", "-")


def meaning(name: str) -> str:
    """What a setting is, with its unit and the values that it may have."""
    field = FIELDS[name]
    said = (field.description or "").rstrip(".")
    least, most = (
        next((getattr(rule, of) for rule in field.metadata if hasattr(rule, of)), None) for of in ("ge", "le")
    )
    if least is not None and most is not None:
        return f"{said}, {least:,} to {most:,}."
    if get_origin(field.annotation) is Literal:
        return f"{said}: {', '.join(get_args(field.annotation))}."
    return f"{said}."


def load(flags: Mapping[str, Any], config: Path | None, environment: Mapping[str, str]) -> Settings:
    """Settings from flags (None: not given), the environment and a file, or a SettingsError with a line for each fault.

    config: the file; None: the one that ALLOT_CONFIG names, or none. An empty variable counts as not set.
    """
    if config is None and environment.get(CONFIG_VARIABLE):
        config = Path(environment[CONFIG_VARIABLE])
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    if config is not None:
        values = _read(config)
        origins = dict.fromkeys(values, f"file {config}")
    for name in FIELDS:
        variable = PREFIX + name.upper()
        if environment.get(variable):
            values[name], origins[name] = environment[variable], f"environment {variable}"
        if flags.get(name) is not None:
            given = flag_of(name) if flags[name] is not False else flag_of(f"no_{name}")
            values[name], origins[name] = flags[name], f"flag {given}"
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise SettingsError("\n".join(_lines(error, values, origins))) from None
    settings._origins.update(origins)
    return settings


def _read(config: Path) -> dict[str, Any]:
    """The values of the file, whose names are all known."""
    try:
        values = tomllib.loads(config.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{config}: {error.strerror}: name the TOML file of the settings") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{config}: not TOML: {error}") from None
    unknown = [_unknown(name, config) for name in values if name not in FIELDS]
    if unknown:
        raise SettingsError("\n".join(unknown))
    return values


def _unknown(name: str, config: Path) -> str:
    near = difflib.get_close_matches(name.replace("-", "_").lower(), FIELDS, n=1)
    mend = f"did you mean {near[0]}?" if near else "`allot config` lists what can be set"
    return f"{name} (file {config}): no such setting: {mend}"


def _lines(error: ValidationError, values: Mapping[str, Any], origins: Mapping[str, str]) -> list[str]:
    lines = []
    for fault in error.errors(include_url=False, include_context=False):
        why = fault["msg"].removeprefix("Value error, ")
        if not fault["loc"]:  # of several settings
            names = [name for name in values if name in why]
            lines.append(f"{why} ({', '.join(f'{name}: {origins[name]}' for name in names)})")
            continue
        name = str(fault["loc"][0])
        what = "" if fault["type"] == "value_error" else f". It is: {meaning(name)}"
        lines.append(f"{name} = {values[name]!r} ({origins[name]}): {why}{what}")
    return lines
