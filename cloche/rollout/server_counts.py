"""What one server tells of a rollout in the registry: its counts, and the share that it serves."""

import json
from dataclasses import dataclass
from typing import Self

from cloche.rollout.counts import RolloutCounts


@dataclass(frozen=True, slots=True)
class ServerCounts:
    """The value of a tag `cloche.rollout_counts.SERVER`.

    Attributes:
        counts: What the server counted since the rollout or the canary began there.
        percent: The share of the canary that the server serves now; 0 while it serves none.
        shadow_percent: The share of the requests whose copies its shadow gets now; 0 without one.
        at: When it was written, in seconds since 1970.
        run_id: The MLflow run of the rollout that is counted; empty for a canary set by hand.
    """

    counts: RolloutCounts
    percent: float = 0.0
    shadow_percent: float = 0.0
    at: float = 0.0
    run_id: str = ""

    def as_json(self) -> str:
        """Return the value of the tag."""
        about = {
            "at": round(self.at), "run_id": self.run_id, "percent": self.percent,
            "shadow_percent": self.shadow_percent, "counts": json.loads(self.counts.as_json()),
        }  # fmt: skip
        return json.dumps(about, separators=(",", ":"))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the value of a tag.

        Raises:
            ValueError: The text is no value of `as_json`.
        """
        try:
            about = json.loads(text)
            return cls(
                counts=RolloutCounts.parse(json.dumps(about["counts"])),
                percent=float(about["percent"]), shadow_percent=float(about["shadow_percent"]),
                at=float(about["at"]), run_id=str(about["run_id"]),
            )  # fmt: skip
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"these are no counts of a server: {text[:60]!r}") from error
