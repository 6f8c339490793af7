"""The history of a model in the registry: its versions with their evidence, what was monitored.

The history is only shown to people; which version is served does not depend on it.
"""

import shlex
from datetime import UTC, datetime
from typing import Any

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from cloche.prediction_log.lookup import LOG_TAG
from cloche.registry.run_link import run_link
from cloche.registry.version_listing import versions_of
from cloche.rollout.registry_keys import CANARY
from cloche.serving.registry.history.monitoring import Monitoring
from cloche.serving.registry.history.rollout_progress import rollout_progress
from cloche.serving.registry.names import (
    EVIDENCE,
    GATE_RUN_TAG,
    GATE_TAG,
    PROMOTED_AT_TAG,
    PROMOTED_BY_TAG,
    REASON_TAG,
)
from cloche.serving.registry.resolver import Resolver, translated_errors
from cloche.serving.registry.uri import ModelUri, Reference

_SHOWN = 20


class History:
    """Reader of the history of models from the registry of a resolver."""

    def __init__(self, resolver: Resolver, monitoring: Monitoring) -> None:
        self._resolver = resolver
        self._monitoring = monitoring
        self._evidence: dict[str, dict[str, Any]] = {}  # by run id: finished runs do not change

    def read(self, uri: ModelUri) -> dict[str, Any]:
        """Return the history of the model of `uri`; that of a model outside the registry is empty.

        Returns:
            `versions` (the newest, and all with an alias), `monitor` (what `cloche monitor` found
            last, if it did), `monitor_command` (what to type for it, if predictions are logged).

        Raises:
            RegistryUnreachable: The registry does not answer.
            VersionRefused: The model is not registered.
        """
        if uri.reference is Reference.ARTIFACTS:
            return {"versions": [], "monitor": None, "monitor_command": None}
        name = uri.model
        with translated_errors(f"the versions of {name}"):
            client = self._resolver.client
            model = client.get_registered_model(name)
            aliases = model.aliases
            found = versions_of(client, name, most=_SHOWN)
            numbers = {str(version.version) for version in found}
            missing = {str(number) for number in aliases.values()} - numbers
            found += [client.get_model_version(name, number) for number in missing]
            found.sort(key=lambda version: int(version.version), reverse=True)
            return {
                "versions": [self._entry(version, aliases) for version in found],
                "monitor": self._monitoring.found(name, model.tags),
                "monitor_command": f"cloche monitor {shlex.quote(name)}"
                if LOG_TAG in model.tags
                else None,
            }

    def _entry(self, version: ModelVersion, aliases: dict[str, str]) -> dict[str, Any]:
        number, tags = str(version.version), version.tags
        return {
            "version": number,
            "created_at": _time(version.creation_timestamp),
            "aliases": sorted(alias for alias, target in aliases.items() if str(target) == number),
            "gate": tags.get(GATE_TAG),
            "promoted_at": tags.get(PROMOTED_AT_TAG),
            "promoted_by": tags.get(PROMOTED_BY_TAG),
            "reason": tags.get(REASON_TAG),
            "evidence": self._evidence_of(tags.get(GATE_RUN_TAG)),
            "rollout": rollout_progress(tags) if str(aliases.get(CANARY)) == number else None,
        }

    def _evidence_of(self, run_id: str | None) -> dict[str, Any] | None:
        """Return the gate's evidence; None without a gate's decision, or if its run is gone."""
        if run_id and run_id not in self._evidence:
            try:
                self._evidence[run_id] = self._read(run_id)
            except (MlflowException, OSError, ValueError, LookupError, TypeError, AttributeError):
                return None
        return self._evidence.get(run_id or "")

    def _read(self, run_id: str) -> dict[str, Any]:
        document = mlflow.artifacts.load_dict(f"runs:/{run_id}/{EVIDENCE}")
        metric = document["metric"]
        return {
            "run_id": run_id,
            "link": run_link(self._resolver.client, run_id),
            "judged_at": document["judged_at"],
            "rows": document["holdout"]["rows"],
            "metric": metric,
            "score": document["scores"].get(metric),
            "verdicts": [
                {key: verdict[key] for key in ("name", "required", "measured", "result")}
                for verdict in document["verdicts"]
            ],
        }


def _time(millis: int) -> str:
    return datetime.fromtimestamp(millis / 1000, UTC).isoformat(timespec="seconds")
