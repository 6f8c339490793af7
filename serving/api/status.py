"""The state of a server at one moment, for the status page: versions, times and counters.

Counters have the values of `/metrics`: a client computes rates from two readings.
"""

import asyncio
from datetime import UTC, datetime
from typing import Any

from cloche.serving.dispatch.served_model import ServedModel
from cloche.serving.dispatch.served_models import ServedModels
from cloche.serving.observability.metrics import Metrics
from cloche.serving.registry.uri import Reference


class Status:
    """Reports the state of one server."""

    def __init__(self, models: ServedModels, metrics: Metrics) -> None:
        self._models = models
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._started = datetime.now(UTC)

    def report(self, name: str) -> dict[str, Any]:
        """The state of all models in brief, and of the model of this name in detail.

        If the server has only one model, that one is in detail whatever the name.
        """
        model = self._models.only or self._models.get(name)
        return {
            "started": self._started.isoformat(),
            "clock": self._loop.time(),
            "draining": self._models.draining,
            "complete": self._models.complete,
            "models": [
                {"name": one.name, "ready": one.ready, "version": _version(one)}
                for one in sorted(self._models, key=lambda one: one.name)
            ],
            "model": None if model is None else self._in_detail(model),
        }

    def _in_detail(self, model: ServedModel) -> dict[str, Any]:
        serves, uri = model.current, model.uri
        history = model.history.known() or {}
        return {
            "name": model.name,
            **model.describe(),
            "stages": self._stages(model),
            "alias": uri.value if uri.reference is Reference.ALIAS else None,
            "registered": uri.reference is not Reference.ARTIFACTS,
            "since": model.since.isoformat() if model.since else None,
            "replicas": serves.replicas if serves else 0,
            "waiting": serves.queued if serves else 0,
            "in_progress": model.in_progress,
            "registry_age": self._loop.time() - model.read_at,
            "counted": self._metrics.model_counts(model.name),
            "history": history.get("versions"),
            "monitor": history.get("monitor"),
            "monitor_command": history.get("monitor_command"),
        }

    def _stages(self, model: ServedModel) -> list[dict[str, Any]]:
        """The stages before a model, with their replicas; none for most models."""
        names = model.current.description.get("stages", []) if model.current else []
        counts = self._metrics.replica_counts() if names else {}
        stages = [name.rpartition("/") for name in names]
        return [
            {"name": name, "version": version, "replicas": counts.get((name, version), 0)}
            for name, _, version in stages
        ]


def _version(model: ServedModel) -> str | None:
    return model.current.version if model.current else None
