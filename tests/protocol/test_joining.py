"""Requests that are scored together are answered as each is alone."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest

from cloche.serving.host.parsing.column_decoder import compile_plan
from cloche.serving.host.scoring import Scorer
from cloche.serving.processes.frames import Item
from tests.protocol.bodies import bodies_for
from tests.protocol.kinds import KINDS


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What models and pandas warn about while they are given nonsense does not matter here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("kind", KINDS)
def test_neighbours_in_a_batch_change_nothing(zoo: Path, kind: str) -> None:
    model = mlflow.pyfunc.load_model(str(zoo / kind))
    scorer = Scorer(model, compile_plan(model.metadata), twin=None)
    sent = bodies_for(kind)
    together = scorer.score([Item(*body) for body in sent]).answers
    wrong = [
        (body, alone, joined)
        for body, joined in zip(sent, together, strict=True)
        if (alone := scorer.score([Item(*body)]).answers[0]) != joined
    ]
    assert not wrong
