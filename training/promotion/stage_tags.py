"""The tags that keep a version and the stage before it together, and what they were before."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Self

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from cloche.training.gate.fetched_version import FetchedVersion, StageVersion
from cloche.training.names import BEFORE, BEFORE_PREVIOUS, GATE, GATE_RUN, NO_STAGE, STAGES
from cloche.training.promotion.alias_moves import Tags


@dataclass(frozen=True)
class FormerStage:
    """What was before the version that serves until its stage changed; a rollback returns to it.

    Attributes:
        before: URI of the stage; `none` without one.
        gate: Outcome of the gate for the version behind that stage; empty without one.
        gate_run_id: Id of the run with the evidence; empty without one.
    """

    before: str
    gate: str = ""
    gate_run_id: str = ""

    def to_text(self) -> str:
        """Return the text of the tag."""
        return json.dumps(asdict(self))

    @classmethod
    def of_now(cls, tags: Mapping[str, str], before: str | None = None) -> Self:
        """Return what a version's tags say now, with `before` instead of the tag's URI if given."""
        now = cls(before or tags.get(BEFORE, NO_STAGE), tags.get(GATE, ""), tags.get(GATE_RUN, ""))
        noted = cls.from_tags(tags)
        # A change that was interrupted has noted it already, and may have replaced the evidence.
        return noted if noted is not None and noted.before == now.before else now

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> Self | None:
        """Read the tag; None if there is none, or none that can be read."""
        try:
            return cls(**json.loads(tags[BEFORE_PREVIOUS]))
        except (KeyError, ValueError, TypeError):
            return None


def pin(stages: tuple[StageVersion, ...]) -> str | None:
    """Return the tag that names exactly the last stage; None without stages."""
    return stages[-1].uri if stages else None


def stage_tags(judged: FetchedVersion, replaced: FetchedVersion | None) -> Tags:
    """Return the tags by which a version names exactly the stage that was judged.

    Args:
        judged: The version behind that stage.
        replaced: The same version behind the stage that it had, if it serves.
    """
    tags, before = judged.version.tags, pin(judged.stages)
    changes: dict[str, str | None] = {}
    if replaced is not None:
        changes[BEFORE_PREVIOUS] = FormerStage.of_now(tags, pin(replaced.stages)).to_text()
    elif BEFORE_PREVIOUS in tags:
        changes[BEFORE_PREVIOUS] = None
    return changes if before == tags.get(BEFORE) else {**changes, BEFORE: before}


def judged_stages(client: MlflowClient, version: ModelVersion) -> str:
    """Return the URIs of the stages with which a version was judged, as its evidence names them."""
    try:
        tags: Mapping[str, str] = client.get_run(version.tags.get(GATE_RUN, "")).data.tags
    except MlflowException:
        return ""
    return tags.get(STAGES, "")
