"""The tags that keep a version and the stage before it together, and what they were before."""

import json
from collections.abc import Mapping

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from cloche.training.gate.fetched_version import FetchedVersion, StageVersion
from cloche.training.names import BEFORE, BEFORE_PREVIOUS, GATE, GATE_RUN, STAGES
from cloche.training.promotion.alias_moves import Tags

_OF_A_STAGE = (BEFORE, GATE, GATE_RUN)  # the tags that change if the stage alone does


def pin(stages: tuple[StageVersion, ...]) -> str | None:
    """Return the tag that names exactly the last stage; None without stages."""
    return stages[-1].uri if stages else None


def former_tags(tags: Mapping[str, str]) -> Tags | None:
    """Return the tags that a rollback of the stage restores; None if there is no such change."""
    try:
        former: Tags = {key: json.loads(tags[BEFORE_PREVIOUS])[key] for key in _OF_A_STAGE}
    except (KeyError, ValueError, TypeError):
        return None
    return former


def note_former(tags: Mapping[str, str], before: str | None) -> str:
    """Return the text of the tag that keeps a version's tags of now, for a rollback.

    Args:
        tags: Tags of the version.
        before: URI of exactly the stage that its tag names; None to take the tag.
    """
    now = {key: tags.get(key) for key in _OF_A_STAGE}
    now[BEFORE] = before or now[BEFORE]
    noted = former_tags(tags)
    # A change that was interrupted has noted them already, and may have replaced the evidence.
    return json.dumps(noted if noted is not None and noted[BEFORE] == now[BEFORE] else now)


def stage_tags(judged: FetchedVersion, replaced: FetchedVersion | None) -> Tags:
    """Return the tags by which a version names exactly the stage that was judged.

    Args:
        judged: The version behind that stage.
        replaced: The same version behind the stage that it had, if it serves.
    """
    tags, before = judged.version.tags, pin(judged.stages)
    changes: dict[str, str | None] = {}
    if replaced is not None:
        changes[BEFORE_PREVIOUS] = note_former(tags, pin(replaced.stages))
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
