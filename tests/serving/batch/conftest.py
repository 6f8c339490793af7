"""Models to score with, tables to score, and jobs that run in the test's own process."""

import functools
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest

from cloche.serving.batch import run
from cloche.serving.batch.input import inputs
from cloche.serving.batch.job.options import JobOptions, JobResult
from cloche.serving.batch.job.part import FinishedPart, Part
from cloche.serving.batch.job.pinned_job import Job
from cloche.serving.batch.output import layout
from cloche.serving.batch.scoring.predict import PartScorer
from cloche.serving.batch.scoring.worker import Worker
from tests import warm
from tests.stores import stores

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def made_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models of `make_models.py`, and a registry with two versions of `plain`."""
    directory = tmp_path_factory.mktemp("made_models")
    subprocess.run(
        [warm.python(), HERE / "make_models.py", directory], check=True, capture_output=True
    )
    return directory


@pytest.fixture
def registry(made_models: Path) -> Iterator[mlflow.MlflowClient]:
    """The registry, with `production` on version 1."""
    with stores(f"sqlite:///{made_models / 'mlflow.db'}"):
        client = mlflow.MlflowClient()
        client.set_registered_model_alias("plain", "production", "1")
        yield client


def table(rows: int, seed: int = 0) -> pd.DataFrame:
    """Rows for the models, with an id, words that CSV must quote, and missing values."""
    random = np.random.default_rng(seed)
    words = ["plain", "with, comma", 'with "quotes"', "two\nlines", "한국어", None]
    return pd.DataFrame(
        {
            "id": [f"{at:05d}" for at in range(rows)],
            "a": np.where(random.random(rows) < 0.1, np.nan, random.normal(size=rows)),
            "b": random.integers(-3, 4, rows),
            "c": random.choice(np.array(words, object), rows),
        }
    )


class HereEngine:
    """Finishes parts in this process, one after the other, and can die before any of them."""

    reads_stores = True

    def __init__(self, dies_before: int | None = None) -> None:
        self.finished: list[int] = []
        self._dies_before = dies_before

    def run(self, job: Job, parts: Iterator[Part], directory: Path) -> Iterator[FinishedPart]:
        worker: Worker | None = None
        for part in parts:
            if len(self.finished) == self._dies_before:
                raise KeyboardInterrupt
            worker = worker or Worker(job, directory)
            self.finished.append(part.index)
            yield worker.finish(part)


Score = Callable[..., JobResult]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Work in a folder of the test, load each model once for all tests, and do not wait for disks.

    No power fails here.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(PartScorer, "load", staticmethod(_load))


@functools.cache
def _load(
    path: Path, twin: str = "", load: Callable[..., PartScorer] = PartScorer.load
) -> PartScorer:
    return load(path, twin)


@pytest.fixture
def score(made_models: Path, tmp_path: Path) -> Score:
    """Score a source into a file or directory with a model of the made_models."""

    def do(
        source: Path | str | inputs.Inputs, place: Path | str, *, model: str = "plain",
        engine: Any = None, said: list[str] | None = None, **options: Any,
    ) -> JobResult:  # fmt: skip
        request = JobOptions(
            model=model if ":" in model else str(made_models / model),
            **{"part_rows": 10, "cache": tmp_path / "cache", "tracked": False, **options},
        )
        given = inputs.Files(str(source), None) if isinstance(source, (Path, str)) else source
        return run.score(
            request, given, layout.describe(str(place), None), engine=engine or HereEngine(),
            say=(said if said is not None else []).append, on_progress=lambda **_: None,
        )  # fmt: skip

    return do


def expected(made_models: Path, rows: pd.DataFrame, model: str = "plain") -> pd.DataFrame:
    """What MLflow's pyfunc says about all rows at once."""
    loaded = mlflow.pyfunc.load_model(str(made_models / model))
    answer: pd.DataFrame = loaded.predict(rows[["a", "b", "c"]])
    return answer


def part(index: int = 0, **options: Any) -> Part:
    return replace(Part(index, "rows.csv", "csv", 0, 100), **options)
