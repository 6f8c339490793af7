"""The order of the writes that put a version into production.

All tags of the version are written first, then the alias `previous`, then `production`. So a reader
that sees `production` move finds everything else in place, and a writer that dies before that
leaves `production` on a complete version. The stage before a version is one of its tags, so both
go into production at once.
"""

import warnings
from collections.abc import Mapping

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from cloche.training.names import BEFORE, CHALLENGER, PREVIOUS, PRODUCTION, REPLACED_AT
from cloche.training.promotion.lock import Lock
from cloche.training.promotion.registry import RegisteredModel

PRODUCTION_STAGE = "Production"  # MLflow's own, deprecated: no version that prepares rows
Tags = Mapping[str, str | None]  # None removes a tag, which must be there
_STAGES_ARE_DEPRECATED = r".*transition_model_version_stage.* is deprecated"


def move_production(client: MlflowClient, held: Lock, version: str, tags: Tags) -> str | None:
    """Put a version into production that is not yet there.

    Returns:
        Why MLflow's stage could not be set; None if it was.

    Raises:
        RegistryError: The lock was lost before an alias moved.
    """
    model, serving = held.model.name, held.model.production
    write_tags(client, held, version, tags)
    held.check()
    if serving is not None:
        client.set_registered_model_alias(model, PREVIOUS, serving)
    client.set_registered_model_alias(model, PRODUCTION, version)
    if serving is not None:
        at = held.clock.now().isoformat(timespec="seconds")
        client.set_model_version_tag(model, serving, REPLACED_AT, at)
    return follow_up(client, held.model, version)


def confirm_production(client: MlflowClient, held: Lock, version: str, tags: Tags) -> str | None:
    """Write the tags of a version that already serves; `production` stays where it is.

    Returns:
        Why MLflow's stage could not be set; None if it was.

    Raises:
        RegistryError: The lock was lost before the last tag was written.
    """
    write_tags(client, held, version, tags)
    return follow_up(client, held.model, version)


def write_tags(client: MlflowClient, held: Lock, version: str, tags: Tags) -> None:
    """Write tags of a version, of which the stage before it is the last.

    Raises:
        RegistryError: The lock was lost.
    """
    for key, value in sorted(tags.items(), key=lambda tag: tag[0] == BEFORE):
        held.check()
        if value is None:
            client.delete_model_version_tag(held.model.name, version, key)
        else:
            client.set_model_version_tag(held.model.name, version, key, value)


def follow_up(client: MlflowClient, model: RegisteredModel, version: str) -> str | None:
    """Do the writes that follow the move of `production`; they may be repeated.

    Returns:
        Why MLflow's stage could not be set; None if it was.
    """
    if model.challenger == version:
        client.delete_registered_model_alias(model.name, CHALLENGER)
    return _mirror(client, model.name, version)


def _mirror(client: MlflowClient, model: str, version: str) -> str | None:
    """Let `models:/NAME/Production` follow the alias; return why not, if it cannot."""
    transition = getattr(client, "transition_model_version_stage", None)
    if transition is None:
        return "this MLflow has no stages"
    with warnings.catch_warnings():
        # The user cannot avoid the warning: servers that still follow the stage need this call.
        warnings.filterwarnings("ignore", _STAGES_ARE_DEPRECATED, FutureWarning)
        try:
            transition(model, version, PRODUCTION_STAGE, archive_existing_versions=True)
        except MlflowException as error:
            return f"this registry mirrors no stages: {error.message}"
    return None
