"""When a scheduled training is worth it: enough new labels, and not too soon after the last one."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from cloche.registry.version_listing import versions_of
from cloche.training.dataset.reading.logged import ARRIVED
from cloche.training.dataset.reading.table import Table
from cloche.training.errors import DataError, TrainingPostponed


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class RetrainingLimits:
    """Limits for trainings that nobody starts by hand.

    Attributes:
        min_labels: Least number of labels that arrived since the model's last training.
        cool_down: Days after the last training in which there is no other.
        clock: Returns the time, with a zone.
    """

    min_labels: int = 0
    cool_down: float = 0.0
    clock: Callable[[], datetime] = _now

    def check_pause(self, client: MlflowClient, model: str) -> datetime | None:
        """Return when the model was trained last; None for never.

        Raises:
            TrainingPostponed: That was less than the cool-down ago.
        """
        if not (self.min_labels or self.cool_down):
            return None
        try:
            times = [version.creation_timestamp for version in versions_of(client, model)]
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            times = []
        if not times:
            return None
        last = datetime.fromtimestamp(max(times) / 1000, UTC)
        again = last + timedelta(days=self.cool_down)
        if self.clock() < again:
            raise TrainingPostponed(
                f"{model} was trained at {last:%Y-%m-%d %H:%M} UTC, less than {self.cool_down:g} "
                f"days ago, and nothing was trained: not before {again:%Y-%m-%d %H:%M}"
            )
        return last

    def check_labels(self, table: Table, last: datetime | None) -> None:
        """Check that enough labels have arrived since the last training.

        Raises:
            TrainingPostponed: Too few have.
            DataError: The table does not tell, because it is no log.
        """
        if not self.min_labels:
            return
        if table.times is None:
            raise DataError(
                table.source, ["--min-labels counts labels of a log; name one: --data log:NAME"]
            )
        arrived = table.times[ARRIVED].dropna()
        new = len(arrived) if last is None else int((arrived > last).sum())
        if new < self.min_labels:
            raise TrainingPostponed(
                f"{table.source}: {new:,} labels have arrived since the last training, fewer than "
                f"{self.min_labels:,}, and nothing was trained"
            )
