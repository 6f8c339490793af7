"""A driver that dies at any of its writes is followed by one that loses and repeats no step."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from cloche.training.errors import RolloutAborted
from cloche.training.promotion.registry import find_model
from tests.training.rollout.conftest import MODEL, FakeServer

WRITES = ("set_", "delete_", "log_", "create_", "transition_")
SHADOW = {"percent": 20, "requests": 1000, "disagreement": 0.05}


class Died(BaseException):
    """The process is gone: nobody catches this."""


class Mortal:
    """A client that dies at its n-th write, and answers nothing from then on."""

    def __init__(self, client, lives):
        self._client, self._lives = client, lives
        self.died_at = None

    def __getattr__(self, name):
        value = getattr(self._client, name)
        if not callable(value):
            return value

        def call(*arguments, **options):
            writes = name.startswith(WRITES)
            if self._lives == 0 or (writes and self._lives == 1):
                self._lives = 0
                self.died_at = self.died_at or " ".join([name, *map(str, arguments[2:3])])
                raise Died
            self._lives -= writes
            return value(*arguments, **options)

        return call


@pytest.fixture
def lives(two, walk, moments):
    """(fails, first, stride) → for each death: where, what was served, how it ended, the client.

    Each life begins with a copy of the registry; a driver dies at one of its writes, and a second
    one walks to the end.
    """
    store = Path(two.tracking_uri.removeprefix("sqlite:///"))

    def live(first, stride, fails=0.0):
        number = first
        while True:
            copy = shutil.copy(store, store.with_name(f"life-{number}.db"))
            own = MlflowClient(f"sqlite:///{copy}", f"sqlite:///{copy}")
            server = FakeServer(own, fails=fails)
            moments.each[:] = [server.count]
            mortal = Mortal(own, number)
            for driver in (mortal, own):
                try:
                    end = walk(driver, {"shadow": None if fails else SHADOW}).outcome
                except Died:
                    continue
                except RolloutAborted as error:
                    end = str(error)
                break
            yield mortal.died_at, server.served, end, own
            if mortal.died_at is None:
                return
            number += stride

    return live


def strides(begin: int) -> list[Any]:
    """First write and stride: a few of them, and with breadth every third from `begin` on.

    The rollout and the abort begin at different ones, for their first writes are the same.
    """
    breadth = [pytest.param(begin + at, 9, marks=pytest.mark.breadth) for at in (0, 3, 6)]
    return [pytest.param(14, 25), *breadth]


@pytest.mark.slow
@pytest.mark.parametrize(("first", "stride"), strides(1))
def test_a_rollout_that_is_cut_anywhere_is_promoted_once_after_each_step(lives, first, stride):
    for died_at, served, end, client in lives(first, stride):
        assert (end, served) == ("promoted", ["shadow 20", "canary 10", "canary 50"]), died_at
        model = find_model(client, MODEL)
        assert model.aliases == {"production": "2", "previous": "1"}, died_at
        tags = client.get_model_version(MODEL, "2").tags
        assert {key for key in tags if "rollout" in key or "percent" in key} == {
            "cloche.rollout", "cloche.rollout_plan", "cloche.rollout_run_id",
        }, died_at  # fmt: skip
        assert client.get_run(tags["cloche.rollout_run_id"]).info.status == "FINISHED"


@pytest.mark.slow
@pytest.mark.parametrize(("first", "stride"), strides(2))
def test_an_abort_that_is_cut_anywhere_stays_one(lives, first, stride):
    for died_at, served, end, client in lives(first, stride, fails=0.3):
        assert "was aborted" in end, died_at
        assert served == ["canary 10"], died_at
        assert "canary" not in find_model(client, MODEL).aliases, died_at
        tags = client.get_model_version(MODEL, "2").tags
        assert tags["cloche.rollout"].startswith("aborted: the canary failed"), died_at
        assert "cloche.rollout_step" not in tags, died_at
