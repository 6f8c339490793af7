"""Names in `--replicas` that nothing has."""

from cloche.serving.dispatch.replica_names import ReplicaNames
from cloche.serving.registry.resolved_version import ResolvedVersion

ALONE = ResolvedVersion("1", "", "", "")
BEHIND_A_STAGE = ALONE.after(ALONE, "features")
MODELS = ("delay", "churn")


def test_names_that_nothing_has_are_told_once_all_models_are_known() -> None:
    names = ReplicaNames(["features", "churn", "feature"])
    assert names.warning("delay", BEHIND_A_STAGE, MODELS) == ""
    told = names.warning("churn", ALONE, MODELS)
    assert told == (
        "--replicas names 'feature', and no model or stage is called so; there are 'churn', "
        "'delay', 'features'."
    )
    assert names.warning("delay", ALONE, MODELS).startswith(
        "--replicas names 'feature', 'features'"
    )


def test_names_of_a_model_and_of_its_stage_are_known() -> None:
    names = ReplicaNames(["features", "delay"])
    assert names.warning("delay", BEHIND_A_STAGE, ["delay"]) == ""
