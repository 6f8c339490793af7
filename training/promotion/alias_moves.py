"""The order of the writes that put a version into production.

Everything about the version first, then `previous`, then `production`: whoever sees `production`
move finds the rest in place, and whoever dies on the way leaves it on a version that is complete.
"""

import warnings
from collections.abc import Mapping

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from cloche.training.names import CHALLENGER, PREVIOUS, PRODUCTION, REPLACED_AT
from cloche.training.promotion.lock import Held
from cloche.training.promotion.registry import RegisteredModel

PRODUCTION_STAGE = "Production"
_STAGES_ARE_DEPRECATED = r".*transition_model_version_stage.* is deprecated"


def move_production(
    client: MlflowClient, held: Held, version: str, tags: Mapping[str, str]
) -> str | None:
    """Put a version into production that is not there.

    Args:
        client: of the registry.
        held: the lock, with the model as it is.
        version: the version that is to serve.
        tags: what is known of the version, written first.

    Returns:
        Why stages could not be mirrored, None if they were.

    Raises:
        RegistryError: the lock was lost before an alias moved.
    """
    model, serving = held.model.name, held.model.production
    for key, value in tags.items():
        client.set_model_version_tag(model, version, key, value)
    held.check()
    if serving is not None:
        client.set_registered_model_alias(model, PREVIOUS, serving)
    client.set_registered_model_alias(model, PRODUCTION, version)
    if serving is not None:
        at = held.clock.now().isoformat(timespec="seconds")
        client.set_model_version_tag(model, serving, REPLACED_AT, at)
    return follow_up(client, held.model, version)


def confirm_production(
    client: MlflowClient, held: Held, version: str, tags: Mapping[str, str]
) -> str | None:
    """Write what is known of a version that serves already; `production` stays where it is.

    Args:
        client: of the registry.
        held: the lock, with the model as it is.
        version: the version that serves.
        tags: what is known of it.

    Returns:
        Why stages could not be mirrored, None if they were.

    Raises:
        RegistryError: the lock was lost before a tag was written.
    """
    held.check()
    for key, value in tags.items():
        client.set_model_version_tag(held.model.name, version, key, value)
    return follow_up(client, held.model, version)


def follow_up(client: MlflowClient, model: RegisteredModel, version: str) -> str | None:
    """What comes after `production` has moved; may be done again.

    Returns:
        Why stages could not be mirrored, None if they were.
    """
    if model.challenger == version:
        client.delete_registered_model_alias(model.name, CHALLENGER)
    return _mirror_stage(client, model.name, version)


def _mirror_stage(client: MlflowClient, model: str, version: str) -> str | None:
    """Let `models:/NAME/Production` follow, as long as MLflow and the store have stages."""
    transition = getattr(client, "transition_model_version_stage", None)
    if transition is None:
        return "this MLflow has no stages"
    with warnings.catch_warnings():
        # The user cannot do anything about it: servers that still follow the stage need it.
        warnings.filterwarnings("ignore", _STAGES_ARE_DEPRECATED, FutureWarning)
        try:
            transition(model, version, PRODUCTION_STAGE, archive_existing_versions=True)
        except MlflowException as error:
            return f"this registry mirrors no stages: {error.message}"
    return None
