"""The loop: what follows an alarm, what does not, and that only the gate promotes."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest

from cloche.main import cloche
from cloche.training.dataset.reading.logged import parse_source
from cloche.training.promotion.promotion_request import PromotionRequest
from tests.deploy.conftest import DEPLOY

STAND_IN = """#!{python}
import json, os, sys
with open("calls", "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
sys.exit(int(os.environ.get("CODE_" + sys.argv[1], "0")))
"""


@pytest.fixture
def retrain(tmp_path: Path):
    """Run the script with a command that ends with the given codes; return its code and calls."""
    command = tmp_path / "cloche"
    command.write_text(STAND_IN.format(python=sys.executable))
    command.chmod(0o755)

    def run(**codes: int) -> tuple[int, list[list[str]]]:
        environment = {
            "PATH": os.environ["PATH"], "FOLDER": str(tmp_path), "CLOCHE": str(command),
            **{f"CODE_{name}": str(code) for name, code in codes.items()},
        }  # fmt: skip
        ended = subprocess.run([DEPLOY / "daily" / "retrain"], env=environment, check=False)
        calls = (tmp_path / "calls").read_text().splitlines()
        return ended.returncode, [json.loads(call) for call in calls]

    return run


def day(ago: int) -> str:
    return f"{datetime.now(UTC) - timedelta(days=ago):%Y-%m-%d}"


def test_an_alarm_is_followed_by_a_training_and_the_gate(retrain):
    code, (_, trained, promoted) = retrain(monitor=5)
    assert code == 0
    assert trained == [
        "train", "flights", "--min-labels", "500", "--cool-down", "7",
        "--data", f"log:flight-delay?since={day(97)}&until={day(8)}",
    ]  # fmt: skip
    assert promoted == ["promote", "flight-delay", "--on", f"live?since={day(7)}", "--gradually"]


@pytest.mark.parametrize(
    ("codes", "code", "calls"),
    [
        ({"monitor": 0}, 0, 1),
        ({"monitor": 1}, 1, 1),
        ({"monitor": 5, "train": 6}, 5, 2),
        ({"monitor": 5, "train": 1}, 1, 2),
        ({"monitor": 5, "promote": 3}, 3, 3),
    ],
)
def test_the_loop_ends_where_there_is_nothing_to_do(retrain, codes, code, calls):
    ended, made = retrain(**codes)
    assert (ended, len(made)) == (code, calls)


def test_the_commands_take_what_the_loop_gives_them(retrain):
    _, (_, trained, promoted) = retrain(monitor=5)
    for name, *arguments in (trained, promoted):
        command = cloche.get_command(click.Context(cloche), name)
        parsed = command.make_context(name, [*arguments]).params
        if name == "train":
            selection = parse_source(parsed["data"], now=datetime.now(UTC))
            assert selection.until - selection.since == timedelta(days=90)
        else:
            assert PromotionRequest(on=parsed["on"]).on == f"live?since={day(7)}"
