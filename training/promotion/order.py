"""The order of the writes that put a version into production.

Everything about the version first, then `previous`, then `production`: whoever sees `production`
move finds the rest in place, and whoever dies on the way leaves it on a version that is complete.
"""

import warnings
from collections.abc import Callable, Mapping

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from cloche.training.names import CHALLENGER, PREVIOUS, PRODUCTION
from cloche.training.promotion.registry import find_model

_STAGES_ARE_DEPRECATED = r".*transition_model_version_stage.* is deprecated"


def move_production(
    client: MlflowClient,
    model: str,
    version: str,
    *,
    serving: str | None,
    tags: Mapping[str, str],
    check: Callable[[], None],
) -> str | None:
    """Put a version into production.

    Args:
        client: of the registry.
        model: its name.
        version: the version that is to serve.
        serving: the version that serves now, another one; None if none does.
        tags: what is known of the version, written first.
        check: called before the aliases move; it raises if the lock was lost.

    Returns:
        Why stages could not be mirrored, None if they were.
    """
    for key, value in tags.items():
        client.set_model_version_tag(model, version, key, value)
    check()
    if serving is not None:
        client.set_registered_model_alias(model, PREVIOUS, serving)
    client.set_registered_model_alias(model, PRODUCTION, version)
    return follow_up(client, model, version)


def follow_up(client: MlflowClient, model: str, version: str) -> str | None:
    """What comes after `production` has moved; may be done again.

    Returns:
        Why stages could not be mirrored, None if they were.
    """
    if find_model(client, model).challenger == version:
        client.delete_registered_model_alias(model, CHALLENGER)
    return _mirror_stage(client, model, version)


def _mirror_stage(client: MlflowClient, model: str, version: str) -> str | None:
    """Let `models:/NAME/Production` follow, as long as MLflow and the store have stages."""
    transition = getattr(client, "transition_model_version_stage", None)
    if transition is None:
        return "this MLflow has no stages"
    with warnings.catch_warnings():
        # The user cannot do anything about it: servers that still follow the stage need it.
        warnings.filterwarnings("ignore", _STAGES_ARE_DEPRECATED, FutureWarning)
        try:
            transition(model, version, "Production", archive_existing_versions=True)
        except MlflowException as error:
            return f"this registry mirrors no stages: {error.message}"
    return None
