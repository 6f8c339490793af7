"""Where the plan of a rollout comes from, and what is said of its mistakes."""

import pytest

from cloche.rollout.plan import Plan, Shadow
from cloche.training.errors import RecipeError
from cloche.training.rollout import plan_source
from cloche.training.rollout.plan_source import choose_plan, load_plan


@pytest.fixture
def write(tmp_path):
    """Write a plan; gives its path."""

    def to_file(text):
        path = tmp_path / "plan.yaml"
        path.write_text(text)
        return str(path)

    return to_file


@pytest.mark.parametrize("text", ["steps: [2, 20]\n", "task: binary\nrollout:\n  steps: [2, 20]\n"])
def test_a_file_is_a_plan_or_has_one(write, text):
    assert load_plan(write(text)) == Plan(steps=(2.0, 20.0))


def test_all_mistakes_are_told_at_once_with_key_and_line(write):
    with pytest.raises(RecipeError) as error:
        load_plan(write("rollout:\n  steps: [5, 1]\n  failures: {margin: 2}\n  speed: 3\n"))
    assert [problem.partition(":")[0] for problem in error.value.problems] == [
        "rollout.steps (line 2)", "rollout.failures.margin (line 3)", "rollout.speed (line 4)",
    ]  # fmt: skip
    with pytest.raises(RecipeError, match=r"cannot be read: No such file"):
        load_plan("nowhere.yaml")
    with pytest.raises(RecipeError, match="line 1"):
        load_plan(write("steps: [1"))


def choose(monkeypatch, **options):
    monkeypatch.setattr(plan_source, "read_mlmodel", lambda *_: None)
    asked = {"file": None, "steps": None, "shadow_only": False, **options}
    return choose_plan("m", "2", **asked)


def test_options_change_the_default_plan(monkeypatch):
    assert choose(monkeypatch) == Plan()
    assert choose(monkeypatch, steps="1,10.5").steps == (1.0, 10.5)
    assert choose(monkeypatch, shadow_only=True).shadow == Shadow()
    for steps, message in {"5,1": "must ascend", "1,a": "like 1,5,25,50, found '1,a'"}.items():
        with pytest.raises(RecipeError, match=message):
            choose(monkeypatch, steps=steps)
