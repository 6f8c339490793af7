"""The decision, as properties: what must hold for any numbers at all, and what people read."""

import math
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.training.gate.decision import decide
from cloche.training.measurements import Comparison, Difference, Measurements, Slice
from cloche.training.recipe.criteria.floors import SliceFloor, reaches
from cloche.training.recipe.criteria.gate import Gate
from cloche.training.recipe.criteria.not_worse import NotWorse

GATE = Gate(
    minimum={"roc_auc": 0.7, "log_loss": 0.5},
    not_worse=NotWorse(metric="roc_auc", margin=0.01),
    slices=(SliceFloor(column="origin", metric="roc_auc", minimum=0.6, min_rows=100),),
    latency_ms=20,
)


def difference(candidate=0.75, production=0.74, bound=0.001):
    gain = candidate - production
    return Difference(candidate, production, gain, bound - 0.001, gain + 0.02, bound, 0.95)


def measurements(**changes) -> Measurements:
    passing = Measurements(
        rows=5_000,
        scores={"roc_auc": 0.75, "log_loss": 0.4},
        slices=(
            Slice("origin", "JFK", 3_000, {"roc_auc": 0.76}),
            Slice("origin", "EWR", 1_900, {"roc_auc": 0.70}),
            Slice("origin", "LGA", 99, {"roc_auc": 0.10}),
        ),
        latency_ms=5.0,
        load_seconds=1.0,
        comparison=Comparison("7", {"roc_auc": difference()}),
    )
    return replace(passing, **changes)


def results(decision):
    return {verdict.name: verdict.result for verdict in decision.verdicts}


def sentence(decision, name):
    return next(verdict.sentence for verdict in decision.verdicts if verdict.name == name)


def test_a_version_that_meets_every_criterion_passes_with_one_verdict_for_each():
    decision = decide(GATE, measurements())
    assert decision.passed
    names = ["loads", "input example", "minimum roc_auc", "minimum log_loss",
             "not worse by roc_auc", "roc_auc by origin", "latency", "signature"]  # fmt: skip
    assert results(decision) == dict.fromkeys(names, "passed")


def test_the_first_version_has_nothing_to_compare_with():
    decision = decide(GATE, measurements(comparison=None))
    assert decision.passed
    assert results(decision)["not worse by roc_auc"] == "not applicable"
    assert results(decision)["signature"] == "not applicable"


@pytest.mark.parametrize(
    ("changes", "name", "said"),
    [
        (
            {"scores": {"roc_auc": 0.69, "log_loss": 0.4}},
            "minimum roc_auc",
            "roc_auc is 0.6900; at least 0.7 is required",
        ),
        (
            {"scores": {"roc_auc": 0.75, "log_loss": 0.6}},
            "minimum log_loss",
            "log_loss is 0.6000; at most 0.5 is required",
        ),
        ({"scores": {"roc_auc": 0.75}}, "minimum log_loss", "could not be computed"),
        ({"latency_ms": 20.5}, "latency", "one row takes 20.5 ms"),
        ({"latency_ms": None, "failures": {"latency": "no answer"}}, "latency", "no answer"),
        ({"failures": {"example": "missing column 'x'"}}, "input example", "missing column 'x'"),
        ({"slicing_failures": {"origin": "no such column"}}, "roc_auc by origin", "no such column"),
    ],
)
def test_one_missed_criterion_refuses_and_says_why(changes, name, said):
    decision = decide(GATE, measurements(**changes))
    assert [verdict.name for verdict in decision.failed] == [name]
    assert said in sentence(decision, name)


def test_a_model_that_does_not_load_fails_whatever_would_have_needed_it():
    broken = measurements(
        scores={}, slices=(), latency_ms=None, failures={"load": "ImportError: no xgboost"}
    )
    decision = decide(GATE, replace(broken, comparison=None))
    assert {verdict.name for verdict in decision.failed} == {
        "loads", "input example", "minimum roc_auc", "minimum log_loss", "roc_auc by origin",
        "latency",
    }  # fmt: skip
    assert all("no xgboost" in verdict.sentence for verdict in decision.failed)


def test_a_slice_below_its_floor_refuses_and_a_small_one_is_only_reported():
    low = (Slice("origin", "EWR", 1_900, {"roc_auc": 0.55}), *measurements().slices[2:])
    decision = decide(GATE, measurements(slices=low))
    assert sentence(decision, "roc_auc by origin") == (
        "roc_auc misses 0.6 in 1 of 1 slices by origin: EWR: 0.5500 "
        "(1 smaller ones are reported and not judged)"
    )


def test_slices_that_are_all_small_are_not_judged():
    decision = decide(GATE, measurements(slices=measurements().slices[2:]))
    assert results(decision)["roc_auc by origin"] == "not applicable"


def compared(bound, production=0.74):
    return measurements(
        comparison=Comparison("7", {"roc_auc": difference(0.74, production, bound)})
    )


@pytest.mark.parametrize(("bound", "passed"), [(0.0, True), (-0.01, True), (-0.0101, False)])
def test_an_equal_model_passes_where_the_rows_can_tell_and_not_where_noise_hides_the_margin(
    bound, passed
):
    assert decide(GATE, compared(bound)).passed is passed


def test_a_worse_model_is_told_from_one_that_the_holdout_is_too_small_to_judge():
    worse = decide(GATE, compared(-0.05, production=0.78))
    unclear = decide(GATE, compared(-0.05, production=0.74))
    assert sentence(worse, "not worse by roc_auc") == (
        "by roc_auc it is 0.0400 worse than production version 7; a margin of 0.01 is allowed"
    )
    assert "5,000 rows do not show with 95% confidence" in sentence(unclear, "not worse by roc_auc")


def test_production_that_cannot_be_scored_refuses_unless_breaking_is_allowed():
    stranger = measurements(comparison=Comparison("7", failure="column 'wind' is missing"))
    refused = decide(GATE, stranger)
    assert [verdict.name for verdict in refused.failed] == ["not worse by roc_auc"]
    assert "column 'wind' is missing" in refused.failed[0].sentence
    assert decide(GATE, stranger, allow_breaking=True).passed


def test_a_changed_signature_refuses_unless_breaking_is_allowed():
    changed = measurements(
        comparison=Comparison(
            "7", {"roc_auc": difference()}, breaking_changes=("input 'wind' is gone",)
        )
    )
    refused = decide(GATE, changed)
    assert [verdict.name for verdict in refused.failed] == ["signature"]
    assert "input 'wind' is gone; --allow-breaking" in refused.failed[0].sentence
    option = re.search(r"; --(\S+) if they know of it$", refused.failed[0].sentence)[1]
    assert decide(GATE, changed, **{option.replace("-", "_"): True}).passed


def test_allow_breaking_forgives_no_model_that_cannot_predict():
    broken = measurements(
        scores={}, failures={"predict": "boom"}, comparison=Comparison("7", failure="also boom")
    )
    names = {verdict.name for verdict in decide(GATE, broken, allow_breaking=True).failed}
    assert "not worse by roc_auc" in names


def test_criteria_that_are_switched_off_give_no_verdict():
    decision = decide(Gate(not_worse=None), measurements())
    assert list(results(decision)) == ["loads", "input example", "signature"]


def test_a_comparison_needs_its_metric_named():
    with pytest.raises(ValueError, match=r"not_worse\.metric"):
        decide(Gate(), measurements())


NUMBERS = st.floats(-2, 2, allow_nan=False)
ANY_NUMBER = st.floats()
BETTER = st.floats(0, 1)


@st.composite
def any_measurements(draw, numbers=ANY_NUMBER):
    sizes = draw(st.lists(st.integers(1, 300), max_size=3))
    comparison = None
    if draw(st.booleans()):
        ours, theirs = draw(numbers), draw(numbers)
        known = Difference(
            ours, theirs, ours - theirs, draw(numbers), draw(numbers), draw(numbers), 0.95
        )
        comparison = Comparison(
            "7",
            {"roc_auc": known},
            breaking_changes=draw(st.sampled_from([(), ("input 'a' is gone",)])),
        )
    failures = draw(
        st.dictionaries(
            st.sampled_from(["load", "example", "predict", "latency"]), st.just("boom"), max_size=1
        )
    )
    return Measurements(
        rows=draw(st.integers(1, 10_000)),
        scores={"roc_auc": draw(numbers), "log_loss": draw(numbers)},
        slices=tuple(
            Slice("origin", str(n), rows, {"roc_auc": draw(numbers)})
            for n, rows in enumerate(sizes)
        ),
        latency_ms=draw(st.one_of(st.none(), st.floats(0, 50))),
        load_seconds=1.0,
        failures=failures,
        comparison=comparison,
    )


@given(measured=any_measurements(), allow_breaking=st.booleans())
def test_a_refusal_names_a_failed_criterion_and_every_verdict_has_its_reason(
    measured, allow_breaking
):
    decision = decide(GATE, measured, allow_breaking=allow_breaking)
    assert decision.passed == (not decision.failed)
    assert all(v.sentence and v.required and v.measured for v in decision.verdicts)


@given(measured=any_measurements(NUMBERS), better=BETTER, allow_breaking=st.booleans())
def test_improving_any_number_never_turns_a_pass_into_a_refusal(measured, better, allow_breaking):
    before = results(decide(GATE, measured, allow_breaking=allow_breaking))
    scores = {
        "roc_auc": measured.scores["roc_auc"] + better,
        "log_loss": measured.scores["log_loss"] - better,
    }
    comparison = measured.comparison
    if comparison is not None:
        old = comparison.differences["roc_auc"]
        gain = replace(
            old, candidate=old.candidate + better, gain=old.gain + better, bound=old.bound + better
        )
        comparison = replace(comparison, differences={"roc_auc": gain}, breaking_changes=())
    improved = replace(
        measured,
        scores=scores,
        slices=tuple(
            replace(part, scores={"roc_auc": part.scores["roc_auc"] + better})
            for part in measured.slices
        ),
        latency_ms=None if measured.latency_ms is None else measured.latency_ms / (1 + better),
        failures={},
        comparison=comparison,
    )
    after = results(decide(GATE, improved, allow_breaking=allow_breaking))
    assert all(after[name] != "failed" for name, result in before.items() if result == "passed")


@given(measured=any_measurements(NUMBERS), bad=st.sampled_from([math.nan, math.inf, -math.inf]))
def test_a_number_that_is_none_never_passes(measured, bad):
    known = replace(difference(), gain=bad, bound=bad)
    spoiled = replace(
        measured, scores=dict.fromkeys(measured.scores, bad),
        slices=(Slice("origin", "JFK", 500, {"roc_auc": bad}),), latency_ms=bad,
        comparison=Comparison("7", {"roc_auc": known}),
    )  # fmt: skip
    judged = results(decide(GATE, spoiled))
    for name in GATE.minimum:
        assert judged[f"minimum {name}"] == "failed"
    for name in ("not worse by roc_auc", "roc_auc by origin", "latency"):
        assert judged[name] == "failed"


@given(value=ANY_NUMBER, floor=NUMBERS)
def test_a_floor_is_reached_from_the_side_that_is_better(value, floor):
    assert reaches("roc_auc", value, floor) == (math.isfinite(value) and value >= floor)
    assert reaches("log_loss", value, floor) == (math.isfinite(value) and value <= floor)


def test_a_number_that_is_not_defined_has_its_reason_in_the_sentence():
    why = "all rows have the label 0"
    part = Slice("origin", "JFK", 500, {"roc_auc": math.nan}, {"roc_auc": why})
    scores, comparison = (
        {"roc_auc": math.nan, "log_loss": 0.4},
        Comparison("7", {"roc_auc": difference(math.nan, math.nan, math.nan)}),
    )
    undefined = measurements(
        scores=scores, undefined={"roc_auc": why}, slices=(part,), comparison=comparison
    )
    failed = {verdict.name: verdict.sentence for verdict in decide(GATE, undefined).failed}
    assert set(failed) == {"minimum roc_auc", "not worse by roc_auc", "roc_auc by origin"}
    assert all(why in sentence for sentence in failed.values())
