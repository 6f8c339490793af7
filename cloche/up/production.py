"""The first half of `cloche up`: see that a version is in production, training if need be."""

from collections.abc import Callable

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from cloche.training.names import CHALLENGER, GATE, PRODUCTION
from cloche.training.promotion.promote import promote
from cloche.training.recipe.schema import Recipe
from cloche.training.train import train

Say = Callable[[str], None]


def ensure_candidate(recipe: Recipe, say: Say) -> None:
    """Train, unless the recipe's model has a version in production or one that waits for the gate.

    Raises:
        ClocheError: training failed.
    """
    client = MlflowClient()
    version = _aliased(client, recipe.name, PRODUCTION)
    if version is not None:
        say(f"{recipe.name} version {version} is in production already: nothing is trained")
    elif _waiting_challenger(client, recipe.name) is None:
        train(recipe, say)


def ensure_production(recipe: Recipe, say: Say) -> str:
    """Promote the candidate, unless the recipe's model has a version in production.

    Returns:
        The version that serves.

    Raises:
        ClocheError: the gate refused the version.
    """
    client = MlflowClient()
    version = _aliased(client, recipe.name, PRODUCTION)
    return version or promote(client, recipe.name, say=say).version


def _waiting_challenger(client: MlflowClient, name: str) -> str | None:
    """A challenger that no gate has judged: its promotion was interrupted."""
    version = _aliased(client, name, CHALLENGER)
    if version is None or GATE in client.get_model_version(name, version).tags:
        return None
    return version


def _aliased(client: MlflowClient, name: str, alias: str) -> str | None:
    try:
        return str(client.get_model_version_by_alias(name, alias).version)
    except MlflowException:
        return None
