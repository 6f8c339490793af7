"""A plan is read with its defaults, and every mistake in it is told at once."""

import math

import pytest

from cloche.rollout.plan import AtLeast, Failures, Plan, PlanError, Shadow, parse_plan, read_plan


def test_a_plan_says_what_the_document_says():
    values = {
        "shadow": {"percent": 10, "requests": 2000, "disagreement": 0.05},
        "steps": [1, 5, 25, 50],
        "at_least": {"minutes": 10, "requests": 500},
        "deadline_hours": 24,
        "failures": {"ratio": 1.0, "margin": 0.001},
        "slow": {"quantile": 0.99, "ratio": 1.5},
        "confidence": 0.99,
    }
    assert read_plan(values) == Plan(shadow=Shadow())


def test_absent_keys_have_defaults_and_null_switches_a_part_off():
    found = read_plan({"slow": None, "at_least": {"minutes": 0}, "steps": [10]})
    assert found == Plan(slow=None, at_least=AtLeast(minutes=0, requests=500), steps=(10.0,))


@pytest.mark.parametrize("plan", [Plan(), Plan(shadow=Shadow(), slow=None, steps=(0.5, 20.0))])
def test_a_version_carries_the_plan_in_a_tag(plan):
    assert parse_plan(plan.as_json()) == plan


def test_every_mistake_is_told_at_once():
    values = {
        "stepz": [1], "steps": [5, 1], "shadow": {"percent": 80, "requests": 1.5, "speed": 1},
        "at_least": 3, "failures": {"ratio": True, "margin": "x"}, "confidence": 1,
        "deadline_hours": float("nan"),
    }  # fmt: skip
    with pytest.raises(PlanError) as raised:
        read_plan(values)
    assert str(raised.value).splitlines() == [
        "stepz: unknown key; the keys are shadow, steps, at_least, deadline_hours, failures, slow, "
        "confidence",
        "steps: must ascend, found [5, 1]",
        "shadow.percent: must be at most 50, found 80",
        "shadow.requests: expected a whole number, found 1.5",
        "shadow.speed: unknown key; the keys are percent, requests, disagreement, tolerance",
        "at_least: expected keys and values, found 3",
        "failures.ratio: expected a number, found True",
        "failures.margin: expected a number, found 'x'",
        "confidence: must be below 1, found 1",
        "deadline_hours: must be above 0, found nan",
    ]


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ([1], "the plan: expected keys and values, found [1]"),
        ({"steps": []}, "steps: expected a list of percents, like [1, 5, 25], found []"),
        ({"steps": [1, 100]}, "steps: 100 percent is the promotion at the end; remove it"),
        ({"steps": [0, 2]}, "steps: must be above 0, found 0"),
        ({"deadline_hours": math.inf}, "deadline_hours: expected a number, found inf"),
        (
            {"failures": {"margin": 0}},
            "failures: no evidence proves equality; give a margin, like 0.001",
        ),
    ],
)
def test_what_cannot_be_a_plan_is_told_with_what_to_do(values, problem):
    with pytest.raises(PlanError) as raised:
        read_plan(values)
    assert str(raised.value) == problem


def test_a_margin_of_zero_needs_a_ratio():
    assert read_plan({"failures": {"margin": 0, "ratio": 2}}).failures == Failures(2.0, 0.0)


def test_a_tag_that_is_no_json_is_named():
    with pytest.raises(PlanError, match=r"cloche\.rollout_plan is not JSON"):
        parse_plan("{")
