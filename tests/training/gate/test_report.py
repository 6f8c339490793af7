"""The report: complete, self-contained, and drawn to scale."""

import re
from datetime import UTC, datetime

import pytest

from cloche.training.gate.evidence import evidence
from cloche.training.gate.report import MOST_BARS, WIDTH, charts, gain_rows, render
from cloche.training.measurements import Comparison, Difference, Slice

NOW = datetime(2026, 3, 1, tzinfo=UTC)
VOID = {"meta", "br", "rect", "line"}


@pytest.fixture
def make_evidence(make_judgement):
    def make(outcome="passed", reason=None, **changes):
        return evidence(make_judgement(**changes), outcome=outcome, reason=reason, now=NOW)

    return make


def unbalanced(page: str) -> list[str]:
    """Tags that are left open, or the first one that is closed without having been opened."""
    open_tags: list[str] = []
    for closing, tag, own in re.findall(r"<(/?)([a-z][a-z0-9]*)\b[^>]*?(/?)>", page):
        if tag in VOID or own:
            continue
        if not closing:
            open_tags.append(tag)
        elif not open_tags or open_tags.pop() != tag:
            return [f"/{tag}"]
    return open_tags


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"outcome": "forced", "reason": "agreed", "scores": {"roc_auc": 0.5}},
        {"comparison": None},
        {"scores": {}, "slices": (), "latency_ms": None, "load_seconds": None,
         "failures": {"load": "boom"}, "comparison": None},
    ],
    ids=["compared", "forced", "first version", "does not load"],
)  # fmt: skip
def test_the_page_is_well_formed_and_needs_nothing_from_elsewhere(make_evidence, changes):
    page = render(make_evidence(**changes))
    assert unbalanced(page) == []
    assert not re.search(r"(src|href)=|url\(|@import|https?://", page)


def test_every_verdict_and_note_is_on_the_page(make_evidence):
    document = make_evidence(notes=("mind the gap",), scores={"roc_auc": 0.6})
    page = render(document)
    for verdict in document["verdicts"]:
        assert verdict["name"] in page
        assert verdict["required"] in page.replace("&#39;", "'")
    assert "Mind the gap." in page
    assert "1 of 6 criteria is not met" in " ".join(page.split())


def test_what_a_model_or_a_person_says_is_shown_and_not_run(make_evidence):
    evil = "<script>alert(1)</script>"
    page = render(
        make_evidence(
            reason=evil,
            failures={"load": evil},
            slices=(Slice("origin", evil, 500, {"roc_auc": 0.8, "log_loss": 0.4}),),
        )
    )
    assert evil not in page
    assert "&lt;script&gt;" in page


def test_gains_are_drawn_around_zero_with_the_margin_of_the_metric_that_is_judged(make_evidence):
    [row] = gain_rows(make_evidence())
    assert row.metric == "roc_auc"
    assert row.zero == WIDTH / 2
    assert 0 < row.margin < row.zero < row.low < row.bound < row.gain < row.high < WIDTH
    assert not row.refused


def test_a_bound_beyond_the_margin_is_drawn_as_refused(make_evidence):
    worse = Difference(0.78, 0.80, -0.02, -0.03, -0.01, -0.028, 0.95)
    [row] = gain_rows(make_evidence(comparison=Comparison("1", {"roc_auc": worse})))
    assert row.bound < row.margin
    assert row.refused


def test_slices_are_drawn_against_the_floor_of_their_criterion(make_evidence):
    [chart] = charts(make_evidence())
    assert (chart.column, chart.metric, chart.minimum) == ("origin", "roc_auc", 0.7)
    assert [(bar.value, bar.judged, bar.low) for bar in chart.bars] == [
        ("JFK", True, False),
        ("EWR", False, False),
    ]
    assert chart.bars[0].length == WIDTH
    assert chart.floor == pytest.approx(WIDTH * 0.7 / 0.83)


def test_of_many_slices_the_largest_are_drawn_and_the_rest_counted(make_evidence):
    parts = tuple(
        Slice("origin", str(n), 1_000 - n, {"roc_auc": 0.8, "log_loss": 0.4}) for n in range(100)
    )
    document = make_evidence(slices=parts)
    [chart] = charts(document)
    assert len(chart.bars) == MOST_BARS
    assert f"and {100 - MOST_BARS} smaller ones" in render(document)


def test_a_slice_without_a_number_is_drawn_as_missing_its_floor(make_evidence):
    nothing = Slice("origin", "LGA", 500, {"roc_auc": float("nan"), "log_loss": 0.4})
    [chart] = charts(make_evidence(slices=(nothing,)))
    assert (chart.bars[0].score, chart.bars[0].length, chart.bars[0].low) == (None, 0.0, True)
