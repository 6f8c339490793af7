"""The first half of `cloche up`: ensures that a version is in production, and trains if needed."""

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from cloche.training.names import CHALLENGER, GATE, PRODUCTION
from cloche.training.promotion.promote import promote
from cloche.training.recipe.schema import Recipe
from cloche.training.train import train
from cloche.values.progress import Say


def ensure_candidate(recipe: Recipe, say: Say) -> None:
    """Train, unless the recipe's model has a version in production or one that waits for the gate.

    Raises:
        ClocheError: The training failed.
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
        The number of the version in production.

    Raises:
        ClocheError: The gate refused the version.
    """
    client = MlflowClient()
    version = _aliased(client, recipe.name, PRODUCTION)
    return version or promote(client, recipe.name, say=say).version


def _waiting_challenger(client: MlflowClient, name: str) -> str | None:
    """Return the challenger that no gate has judged yet: its promotion was interrupted."""
    version = _aliased(client, name, CHALLENGER)
    if version is None or GATE in client.get_model_version(name, version).tags:
        return None
    return version


def _aliased(client: MlflowClient, name: str, alias: str) -> str | None:
    try:
        return str(client.get_model_version_by_alias(name, alias).version)
    except MlflowException:
        return None
