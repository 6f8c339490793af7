"""The tags that keep a version and the stage before it together, and what they were before."""

import json
from collections.abc import Mapping

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from cloche.training.gate.fetched_version import FetchedVersion, StageVersion
from cloche.training.names import BEFORE, BEFORE_PREVIOUS, GATE, GATE_RUN, STAGES
from cloche.training.promotion.alias_moves import Tags

_CHANGE_WITH_STAGE = (BEFORE, GATE, GATE_RUN)  # the tags that change if the stage alone does


def pinned_uri(stages: tuple[StageVersion, ...]) -> str | None:
    """Return the tag that names exactly the last stage; None without stages."""
    return stages[-1].uri if stages else None


def former_tags(tags: Mapping[str, str]) -> Tags | None:
    """Return the tags that a rollback of the stage restores; None if there is no such change."""
    try:
        former: Tags = {key: json.loads(tags[BEFORE_PREVIOUS])[key] for key in _CHANGE_WITH_STAGE}
    except (KeyError, ValueError, TypeError):
        return None
    return former


def note_former(tags: Mapping[str, str], before: str | None) -> str:
    """Return the tag BEFORE_PREVIOUS for a change of stage that begins: the tags as they are now.

    If a change that was interrupted has noted them for the same stage, its note is kept, because it
    may have replaced GATE and GATE_RUN already.

    Args:
        tags: Tags of the version.
        before: URI of its stage by number, where its tag names an alias; None to note its tag.
    """
    now = {key: tags.get(key) for key in _CHANGE_WITH_STAGE}
    now[BEFORE] = before or now[BEFORE]
    noted = former_tags(tags)
    return json.dumps(noted if noted is not None and noted[BEFORE] == now[BEFORE] else now)


def stage_tags(judged: FetchedVersion, replaced: FetchedVersion | None) -> Tags:
    """Return the tags by which a version names exactly the stage that was judged.

    Args:
        judged: The version after that stage.
        replaced: The same version after the stage that it had, if it serves.
    """
    tags, before = judged.version.tags, pinned_uri(judged.stages)
    changes: dict[str, str | None] = {}
    if replaced is not None:
        changes[BEFORE_PREVIOUS] = note_former(tags, pinned_uri(replaced.stages))
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
