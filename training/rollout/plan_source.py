"""The plan of a rollout: from a file, else what the version carries, else Cloche's own."""

from dataclasses import replace
from pathlib import Path

from cloche.rollout.plan import Plan, PlanError, Shadow, read_plan
from cloche.training.errors import RecipeError
from cloche.training.gate.fetched_version import read_mlmodel
from cloche.training.gate.policy import carried_policy
from cloche.training.recipe import yaml_document
from cloche.training.recipe.problems import where


def choose_plan(
    model: str, version: str, *, file: str | None, steps: str | None, shadow_only: bool
) -> Plan:
    """Return the plan of a rollout that begins.

    Args:
        model: Name of the registered model.
        version: Number of the version.
        file: Path of a YAML file with the plan, or with the plan under the key `rollout`.
        steps: Shares that replace those of the plan, like `1,5,25`.
        shadow_only: Whether the shadow is all of it; a plan without one gets the default.

    Raises:
        RecipeError: The file or the steps have mistakes; the error lists all of them.
        RegistryError: The policy of the version cannot be read.
    """
    plan = _carried(model, version) if file is None else load_plan(file)
    if steps is not None:
        plan = replace(plan, steps=parse_steps(steps))
    return replace(plan, shadow=plan.shadow or Shadow()) if shadow_only else plan


def load_plan(path: str) -> Plan:
    """Read a plan from a YAML file: a file of its own, a policy or a recipe.

    Raises:
        RecipeError: The file has mistakes; the error lists all of them.
    """
    try:
        document = yaml_document.parse(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise RecipeError(path, [f"cannot be read: {error.strerror}"]) from None
    except (UnicodeDecodeError, yaml_document.DocumentError) as error:
        raise RecipeError(path, [str(error)]) from None
    inside = ("rollout",) if "rollout" in document.values else ()
    try:
        return read_plan(document.values["rollout"] if inside else document.values)
    except PlanError as error:
        told = [
            f"{where((*inside, *key), document.lines)}{message}" for key, message in error.problems
        ]
        raise RecipeError(path, told) from None


def parse_steps(text: str) -> tuple[float, ...]:
    """Read shares like `1,5,25`.

    Raises:
        RecipeError: They are no ascending shares.
    """
    try:
        return read_plan({"steps": [float(one) for one in text.split(",")]}).steps
    except PlanError as error:
        raise RecipeError("--steps", [message for _, message in error.problems]) from None
    except ValueError:
        raise RecipeError(
            "--steps", [f"expected percents, like 1,5,25,50, found {text!r}"]
        ) from None


def _carried(model: str, version: str) -> Plan:
    mlmodel = read_mlmodel(model, version)
    policy = carried_policy(mlmodel.metadata if mlmodel else None)
    return (policy and policy.rollout) or Plan()
