"""The settings of a server, read once and frozen.

They come from the command line and from environment variables.
"""

import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cloche.processes.child_variables import check_extra_names
from cloche.registry.env_manager import LOCAL, default_cache
from cloche.serving.cloud_contract import Contract
from cloche.serving.errors import SettingsError
from cloche.serving.spool.log_plan import PROCESS, LogPlan, spool_folder

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one server. Durations are in seconds, sizes in bytes."""

    models: tuple[str, ...] = ()
    all_with_alias: str = ""
    before: str = ""  # a model URI in place of the tag cloche.before, or none
    host: str = "127.0.0.1"
    port: int = 8080
    grpc_port: int | None = None
    workers: int = 1
    replicas: int = 1
    named_replicas: Mapping[str, int] = field(default_factory=dict)  # of a model or a stage
    poll_interval: float = 2.0
    load_timeout: float = 300.0
    request_timeout: float = 60.0
    predict_timeout: float | None = None  # None: the same as `request_timeout`
    drain_timeout: float = 30.0
    max_batch_rows: int = 512
    max_batch_bytes: int = 4 * MIB
    max_wait: float = 0.0
    max_queue: int = 2048
    max_queue_rows: int = 1_000_000
    max_queue_bytes: int = 256 * MIB
    max_body: int = 16 * MIB
    max_connections: int = 4096
    client_timeout: float = 20.0
    max_host_memory: int = 0
    env_manager: str = LOCAL
    host_env: tuple[str, ...] = ()
    accelerate: bool = True
    cache_directory: Path = field(default_factory=default_cache)
    api_keys: tuple[str, ...] = field(default=(), repr=False)
    allowed_hosts: tuple[str, ...] = ()
    webhook_secret: str = field(default="", repr=False)
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    access_log: bool = False
    cloud_contract: Contract | None = None
    log: str = ""  # the destination of the prediction log; empty for none
    log_inputs: tuple[str, ...] = ()  # columns, or all of them
    log_hash: tuple[str, ...] = ()
    log_id: str = ""
    log_subject: str = ""
    log_sample: float = 1.0
    log_promise: str = PROCESS
    log_spool: Path | None = None  # None: in the cache directory
    log_spool_size: int = 1024 * MIB
    log_seal_interval: float = 60.0
    log_key: str = field(default="", repr=False)
    log_server: str = field(default_factory=lambda: secrets.token_hex(8))  # the server's start

    def __post_init__(self) -> None:
        """Check the options that depend on each other or on the machine.

        Raises:
            SettingsError: An option is invalid, lacks another one, or contradicts it.
        """
        try:
            check_extra_names(self.host_env)
        except ValueError as error:
            raise SettingsError(str(error)) from error
        if not self.models and not self.all_with_alias:
            raise SettingsError(
                "Nothing to serve: name a model, like models:/NAME@production, or use --all."
            )
        if self.models and self.all_with_alias:
            raise SettingsError(
                "--all serves every model that has the alias: leave out the model URIs (also in "
                "the variable CLOCHE_SERVE_MODELS), or --all."
            )
        if self.before and len(self.models) != 1:
            raise SettingsError(
                "--before names the stage before one model, and this server has several: name it "
                "by the tag cloche.before of the version."
            )
        if bool(self.tls_certificate) != bool(self.tls_key):
            raise SettingsError("TLS needs both --tls-certificate and --tls-key.")
        if self.max_host_memory and not Path("/proc/self/statm").exists():
            raise SettingsError("--max-host-memory is for Linux only: it reads /proc.")
        if self.workers > 1 and not sys.platform.startswith("linux"):
            raise SettingsError(
                "--workers is for Linux only: other systems do not spread the connections of a "
                "port among processes."
            )
        if self.predict_timeout is not None and self.predict_timeout > self.request_timeout:
            raise SettingsError(
                f"--predict-timeout ({self.predict_timeout:g} s) is longer than --request-timeout "
                f"({self.request_timeout:g} s; MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT sets it, "
                "too), and nobody would wait for such a prediction. Raise that one, or leave out "
                "--predict-timeout: it is as long by default."
            )

    @property
    def log_plan(self) -> LogPlan | None:
        """Where and what the processes of the server log; None if they log nothing."""
        return _log_plan(self)


def _log_plan(settings: Settings) -> LogPlan | None:
    if not settings.log:
        return None
    root = settings.log_spool or settings.cache_directory / "spool"
    return LogPlan(
        folder=str(spool_folder(root.absolute(), settings.log)), server=settings.log_server,
        promise=settings.log_promise, inputs=settings.log_inputs, hashed=settings.log_hash,
        id_column=settings.log_id, subject=settings.log_subject, sample=settings.log_sample,
        spool_bytes=settings.log_spool_size,
        key=settings.log_key.encode(),
    )  # fmt: skip
