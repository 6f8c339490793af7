"""What a terminal and a pipe show of a look."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO

from rich.console import Console

from cloche.rollout.counts import RolloutCounts
from cloche.rollout.server_counts import ServerCounts
from cloche.rollout.step import Step
from cloche.training.cli.rollout_display import LinesDisplay, table
from cloche.training.promotion.registry import RegisteredModel
from cloche.training.rollout.look import take_look
from cloche.training.rollout.rollout_state import RolloutState

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
STEP = Step(5, NOON, "1")


def look(minutes=2.0, *, failures=1, step=STEP, word="running: by ana"):
    counts = RolloutCounts()
    for arm, requests in {"canary": 1000, "production": 19_000}.items():
        counts.count(5, arm, "requests", requests)
    counts.count(5, "canary", "failures", failures)
    for arm, number in {"shadow": 400, "baseline": 100}.items():
        counts.count(0, arm, "requests", number)
    counts.count(0, "shadow", "differences", 2)
    tags = {
        "cloche.rollout": word, "cloche.rollout_step": step.as_json(),
        "cloche.rollout_counts.a": ServerCounts(counts, 5).as_json(),
        "cloche.rollout_counts.b": "written by another Cloche",
        "cloche.rollout_plan": json.dumps({"shadow": {}, "slow": None}),
    }  # fmt: skip
    state = RolloutState(RegisteredModel("m", {"production": "1", "canary": "2"}, {}), "2", tags)
    return take_look(state, step, NOON + timedelta(minutes=minutes))


def drawn(one):
    console = Console(width=120, record=True, file=StringIO())
    console.print(table(one))
    return console.export_text()


def test_a_terminal_shows_both_arms_and_what_is_missing():
    text = drawn(look())
    assert "m version 2, running: 5 % of the callers, step 2 of 4" in text
    assert text.splitlines()[4].split() == ["canary", "2", "1,000", "1", "0.1", "%"]
    assert "hold, 1 server, in this step since 2026-03-01 12:00 UTC" in text
    assert "2 of at least 10 minutes are over" in text
    shadow = drawn(look(step=Step(10, NOON, "1", shadow=True)))
    assert "shadow of 10 % of the requests" in shadow
    assert "400 of at least 2,000 answers are compared" in shadow


def test_a_pipe_gets_a_line_when_something_changes_and_each_minute(capsys):
    display = LinesDisplay()
    for minutes in (2.0, 2.2, 2.4):
        display.show(look(minutes))
    assert len(capsys.readouterr().out.splitlines()) == 1
    display.show(look(2.5, word="paused: lunch"))
    display.show(look(3.6, word="paused: lunch"))
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("12:02:30 paused, 5 % of the callers, step 2 of 4: canary 1 of 1,000")
    assert "hold: paused, lunch; " in second
