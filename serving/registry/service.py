"""The server side of the registry process: it queries the registry and fetches versions.

The front calls it as `cloche.serving.processes.peer` says.

This is a separate process because MLflow's client imports libraries that the front must not load,
and because downloads, hashing and the build of environments must not delay predictions. The front
alone decides which version is served.
"""

import json
import logging
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mlflow.tracking import MlflowClient

from cloche.prediction_log.lookup import LOG_TAG
from cloche.registry import env_manager
from cloche.serving.errors import RegistryUnreachable, ServingError, VersionRefused
from cloche.serving.registry import counts_tags
from cloche.serving.registry.cache import Cache, registry_name
from cloche.serving.registry.fetch import fetch
from cloche.serving.registry.history.history import History
from cloche.serving.registry.history.monitoring import Monitoring
from cloche.serving.registry.protocol import HELLO, QUERIES_AT_ONCE
from cloche.serving.registry.resolved_version import ResolvedVersion
from cloche.serving.registry.resolver import Resolver, translated_errors
from cloche.serving.registry.uri import ModelUri, with_alias

_QUERIES = "queries"
# Each kind of work has its own threads: a silent registry does not block the cache, and a long
# download does not block queries of the registry.
_THREADS = {_QUERIES: QUERIES_AT_ONCE, "work": 4, "cache": 1}
_KINDS = {"fetch": "work", "environment": "work", "remember": "cache", "last_good": "cache"}
_logger = logging.getLogger(__name__)


class RegistryService:
    """The methods that the front can call by name; they take and return JSON values."""

    def __init__(self, cache: Cache, cache_directory: Path) -> None:
        self._cache = cache
        self._cache_directory = cache_directory
        self._resolver = Resolver(MlflowClient)
        self._monitoring = Monitoring(self._resolver)
        self._history = History(self._resolver, self._monitoring)

    def resolve(self, uri: dict[str, Any]) -> dict[str, Any]:
        """Return the version to which a URI resolves now, with the stages before it."""
        found = self._resolver.resolve_with_stages(ModelUri.from_json(uri))
        alarms = self._monitoring.alarms(found.model) if found.model else None
        return asdict(replace(found, alarms=alarms))

    def resolve_arms(self, uri: dict[str, Any], aliases: list[str]) -> dict[str, Any]:
        """Return what `resolve` does, and under each of these aliases the version that has it."""
        resolved, model = self.resolve(uri), ModelUri.from_json(uri)
        return resolved | {alias: self._arm(model, alias) for alias in aliases}

    def end_canary(self, model: str, version: str, state: str) -> None:
        """Record the end of a canary in the registry."""
        self._resolver.end_canary(model, version, state)

    def write_counts(self, model: str, version: str, server: str, value: str) -> None:
        """Write what a server counts of a canary to its tag on the version."""
        with translated_errors(f"{model} version {version}"):
            counts_tags.write(self._resolver.client, model, version, server, value)

    def remove_counts(self, model: str, version: str, run_id: str) -> None:
        """Remove from a version what all servers have counted of a rollout."""
        with translated_errors(f"{model} version {version}"):
            counts_tags.remove(self._resolver.client, model, version, run_id)

    def write_log_tag(self, model: str, destination: str) -> None:
        """Write the destination of the prediction log to its tag on a model, if it is not there."""
        with translated_errors(model):
            client = self._resolver.client
            if client.get_registered_model(model).tags.get(LOG_TAG) != destination:
                client.set_registered_model_tag(model, LOG_TAG, destination)

    def versions_with_alias(self, alias: str) -> dict[str, str]:
        """Return the version number with the alias, by the name of each model that has it."""
        return self._resolver.versions_with_alias(alias)

    def history(self, uri: dict[str, Any]) -> dict[str, Any]:
        """Return the newest versions of the model of a URI, and what was monitored of it."""
        return self._history.read(ModelUri.from_json(uri))

    def fetch(self, resolved: dict[str, Any]) -> str:
        """Return the directory of a version's artifacts, checked against its digest."""
        return str(fetch(ResolvedVersion.from_json(resolved), self._cache))

    def environment(self, artifacts: str, manager: str) -> str:
        """Build the Python environment of a version; return the path of its interpreter."""
        return str(env_manager.build(Path(artifacts), manager, self._cache_directory))

    def remember(self, uri: str, resolved: dict[str, Any]) -> None:
        """Record the version that serves for a URI, to serve it when the registry is down."""
        self._cache.remember(uri, ResolvedVersion.from_json(resolved))

    def last_good(self, uri: str) -> dict[str, Any] | None:
        """Return the version that last served for a URI; None if it is not cached."""
        resolved = self._cache.last_good(uri)
        return asdict(resolved) if resolved else None

    def _arm(self, uri: ModelUri, alias: str) -> dict[str, Any] | None:
        """Return the version of an arm with its stages, or why those cannot be found."""
        found = self._resolver.find_arm(uri.model, alias)
        if found is None or not (uri.before or found.before):
            return asdict(found) if found else None
        try:
            arm = replace(with_alias(uri.model, alias), before=uri.before)
            return asdict(self._resolver.resolve_with_stages(arm))
        except VersionRefused as error:
            return asdict(replace(found, problem=str(error)))


def serve(front: socket.socket, cache_directory: Path) -> None:
    """Report that the process is ready, and answer requests until the front closes the socket."""
    service = RegistryService(Cache(cache_directory, registry_name()), cache_directory)
    lock = threading.Lock()

    def answer(line: bytes) -> None:
        reply = json.dumps(_answer(service, line)).encode() + b"\n"
        with lock:
            front.sendall(reply)

    front.sendall(json.dumps({"id": HELLO}).encode() + b"\n")
    threads = {kind: ThreadPoolExecutor(count) for kind, count in _THREADS.items()}
    with front.makefile("rb") as requests:
        for line in requests:
            kind = _KINDS.get(json.loads(line)["call"], _QUERIES)
            threads[kind].submit(answer, line)


def _answer(service: RegistryService, line: bytes) -> dict[str, Any]:
    call = json.loads(line)
    method: Callable[..., Any] = getattr(service, call["call"])
    kind: type[ServingError] = RegistryUnreachable
    try:
        return {"id": call["id"], "answer": method(**call["about"])}
    except RegistryUnreachable as error:
        reason = str(error)
    except (ServingError, env_manager.NotBuilt) as error:
        kind, reason = VersionRefused, str(error)
    except Exception as error:
        _logger.exception("The registry process failed on %s.", call["call"])
        reason = f"{type(error).__name__}: {error}"
    return {"id": call["id"], "failed": reason, "kind": kind.__name__}
