"""The logged rows on which versions are judged: labelled ones that none of them was trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from tempfile import TemporaryDirectory

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from cloche.prediction_log.reading import LIVE
from cloche.training.dataset.checks.target_column import rows_with_target
from cloche.training.dataset.reading.datetimes import parse_times
from cloche.training.dataset.reading.digest import frame_digest
from cloche.training.dataset.reading.logged import RECEIVED, parse_source, read_logged, source_of
from cloche.training.errors import DataError, RecipeError
from cloche.training.gate.holdout import Holdout
from cloche.training.gate.policy import Policy
from cloche.training.names import TRAINED_UNTIL
from cloche.training.recipe.load import load_recipe
from cloche.training.recipe.sections import TimeSplit


@dataclass(frozen=True)
class TrainedUntil:
    """What is known of the last row that a version was trained on.

    Attributes:
        label: Name of the version, for people.
        received: Moment after which no row was received that it was trained on.
        column: Column with the times of the rows, if the recipe splits by time; else None.
        day: Last day of that column among the training rows.
    """

    label: str
    received: datetime
    column: str | None = None
    day: date | None = None

    def unseen(self, frame: pd.DataFrame, received: pd.Series) -> "pd.Series[bool]":
        """Return which rows the version was not trained on."""
        later = received > self.received
        if self.column is None or self.day is None or self.column not in frame:
            return later
        return later | (parse_times(frame, self.column).dt.date > self.day)

    @property
    def sentence(self) -> str:
        """Until when it was trained, for people."""
        rows = f" and {self.column} of {self.day}" if self.column else ""
        return f"{self.label} (trained on rows until {self.received:%Y-%m-%d %H:%M} UTC{rows})"


def live_holdout(
    client: MlflowClient, policy: Policy, versions: Sequence[ModelVersion], query: str
) -> Holdout:
    """Read the labelled rows that callers were answered, and that no version was trained on.

    Args:
        client: MLflow client for the registry and the runs.
        policy: Policy of the judgement.
        versions: The judged version, then the one that it is compared with, of one model.
        query: What follows `live?`: `since`, `until` and `as_of`, as of a source `log:NAME`.

    Raises:
        DataError: The log cannot be read, or has no such rows.
    """
    arms = ",".join(LIVE)
    asked = f"log:{versions[0].name}?arms={arms}&{query}"
    selection = parse_source(asked, now=datetime.now(UTC))
    known = [trained_until(client, version) for version in versions]
    rows = read_logged(source_of(selection), None, policy.target)
    mask = pd.Series(data=True, index=rows.frame.index)
    for version in known:
        mask &= version.unseen(rows.frame, rows.times[RECEIVED])
    fresh = rows.frame[mask].reset_index(drop=True)
    frame = rows_with_target(fresh, policy.target)
    named = " nor ".join(version.sentence for version in known)
    note = f"judged on live rows that neither {named} was trained on"
    if len(known) == 1:
        note = note.replace("neither ", "").replace("was trained", "was not trained")
    if frame.empty:
        raise DataError(
            rows.source,
            [
                f"{len(rows.frame):,} rows are logged, {len(fresh):,} of them after {named}, and "
                "none of these has a label; add labels, or judge on the holdout: leave --on out"
            ],
        )
    return Holdout(frame, rows.source, frame_digest(frame), len(fresh) - len(frame), live=note)


def trained_until(client: MlflowClient, version: ModelVersion) -> TrainedUntil:
    """Find out until when the rows go that a version was trained on.

    A training on logged rows leaves when its last row was received. Any other has read its table
    before its run began, and a recipe that splits by time says which days it learned from. Without
    a run the version was registered after its training.
    """
    label = f"version {version.version}"
    registered = TrainedUntil(label, _moment(version.creation_timestamp))
    if not version.run_id:
        return registered
    try:
        run = client.get_run(version.run_id)
    except MlflowException:  # deleted, or in another store than the registry
        return registered
    if until := run.data.tags.get(TRAINED_UNTIL):
        return TrainedUntil(label, datetime.fromisoformat(until).astimezone(UTC))
    return TrainedUntil(label, _moment(run.info.start_time), *_last_day(client, run))


def _last_day(client: MlflowClient, run: Run) -> tuple[str | None, date | None]:
    if run.data.params.get("split") != "time":
        return None, None
    with TemporaryDirectory(prefix="cloche-") as folder:
        try:
            path = client.download_artifacts(run.info.run_id, "recipe.yaml", folder)
            split = load_recipe(path).split
        except (MlflowException, OSError, RecipeError):  # then the run's start has to do
            return None, None
    if not isinstance(split, TimeSplit):
        return None, None
    return split.column, date.fromisoformat(split.train[1])


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
