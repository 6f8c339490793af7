"""What a version is compared with: its policy, its profile, and its predictions on the holdout."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import yaml
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from cloche.training.errors import ClocheError, NotMeasured
from cloche.training.evaluation.predictions import Pairs, TargetSpec
from cloche.training.gate.fetched_version import FetchedVersion, fetch
from cloche.training.gate.holdout import fetch_holdout
from cloche.training.gate.policy import Policy, carried_policy
from cloche.training.gate.probe_process import probe
from cloche.training.monitor.quality import LabelledRows, slice_texts

_PROFILE = "artifacts/profile.json"
_DAY = pd.Timedelta(days=1)


@dataclass(frozen=True)
class Probing:
    """How versions are run in processes of their own; see `probe_process.probe`."""

    timeout: float = 600.0
    extra_names: Sequence[str] = ()
    interpreter: Callable[[Path], str] = lambda _: ""

    def pairs(
        self, version: FetchedVersion, policy: Policy, frame: pd.DataFrame, target: TargetSpec
    ) -> Pairs:
        """Have a version predict a table that has the target, too.

        Raises:
            NotMeasured: The version does not predict it.
        """
        found = probe(
            version.folder, frame, target, target_column=policy.target, features=policy.features,
            output=policy.output, latency=False, timeout=self.timeout,
            extra_names=self.extra_names, interpreter=self.interpreter,
        )  # fmt: skip
        if found.predictions is None:
            raise NotMeasured("; ".join(found.failures.values()))
        return Pairs.pair(frame[policy.target], found.predictions)


@dataclass(frozen=True)
class VersionReference:
    """A version that serves, and what is known of it from its training.

    Attributes:
        fetched: The version on the local disk; None if it cannot be fetched.
        policy: What it predicts and how it is judged; None if it carries nothing of it.
        target: Description of the target; None without a policy.
        profile: Reference profile; empty if there is none.
        holdout: The holdout with the version's predictions, by day; None if there is none.
        inputs: The same rows as the model takes them, for what days have in common.
        intervals: Metric → value, low and high on the holdout, from the training run.
        notes: What is missing, and why; one sentence each.
    """

    number: str
    fetched: FetchedVersion | None = None
    policy: Policy | None = None
    target: TargetSpec | None = None
    profile: dict[str, Any] | None = None
    holdout: LabelledRows | None = None
    inputs: pd.DataFrame | None = None
    intervals: dict[str, tuple[float, float, float]] | None = None
    notes: tuple[str, ...] = ()

    @property
    def metrics(self) -> tuple[str, ...]:
        """The recipe's metrics, the judged one first."""
        return self.policy.measured_metrics if self.policy else ()


def read_reference(
    client: MlflowClient, version: ModelVersion, folder: Path, probing: Probing
) -> VersionReference:
    """Fetch a version and have it predict its holdout; what fails is a note."""
    number = str(version.version)
    folder.mkdir(parents=True)
    try:
        fetched = fetch(version, folder)
        policy = carried_policy(fetched.model.metadata)
    except ClocheError as error:
        return VersionReference(number, notes=(f"version {number} has no reference: {error}",))
    profile = _profile(fetched.folder)
    if policy is None:
        note = (
            f"version {number} carries no policy, as versions that Cloche trained do; only its "
            "rows are counted"
        )
        return VersionReference(number, fetched, profile=profile, notes=(note,))
    try:
        holdout = fetch_holdout(client, policy, version.run_id)
        frame, target = holdout.frame, policy.target_of(holdout.frame[policy.target])
        days = _days(client, version.run_id, frame)
        order = np.argsort(days, kind="stable")
        frame, days = frame.iloc[order].reset_index(drop=True), days[order]
        rows = LabelledRows(
            probing.pairs(fetched, policy, frame, target), np.ones(len(frame)), days,
            slice_texts(frame, policy.sliced_columns),
        )  # fmt: skip
    except ClocheError as error:
        note = f"version {number} has no holdout to compare with: {error}"
        target = policy.target_of(pd.Series(policy.classes, dtype=object))
        return VersionReference(number, fetched, policy, target, profile, notes=(note,))
    intervals = _intervals(client, version.run_id, policy.measured_metrics)
    return VersionReference(number, fetched, policy, target, profile, rows, frame, intervals)


def _profile(folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((folder / _PROFILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def _days(client: MlflowClient, run_id: str | None, frame: pd.DataFrame) -> "np.ndarray":
    """Return the days of the holdout's rows; of one that has no times, equal parts in its order."""
    column = _time_column(client, run_id)
    if column in frame.columns:
        return ((pd.to_datetime(frame[column]) - pd.Timestamp(0)) // _DAY).to_numpy()
    parts = max(len(frame) // 500, 20)
    return np.arange(len(frame)) * parts // max(len(frame), 1)


def _time_column(client: MlflowClient, run_id: str | None) -> str | None:
    if not run_id:
        return None
    try:
        with TemporaryDirectory(prefix="cloche-") as folder:
            path = client.download_artifacts(run_id, "recipe.yaml", folder)
            recipe = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        column: str | None = recipe["split"]["column"] if recipe["split"]["by"] == "time" else None
    except (MlflowException, OSError, KeyError, yaml.YAMLError):
        return None
    return column


def _intervals(
    client: MlflowClient, run_id: str | None, metrics: Sequence[str]
) -> dict[str, tuple[float, float, float]]:
    """Return the intervals on the holdout that the training run has."""
    try:
        found = client.get_run(run_id).data.metrics if run_id else {}
    except MlflowException:
        return {}
    names = {
        metric: [f"holdout/{metric}{end}" for end in ("", "_low", "_high")] for metric in metrics
    }
    return {
        metric: (found[keys[0]], found[keys[1]], found[keys[2]])
        for metric, keys in names.items()
        if all(key in found for key in keys)
    }
