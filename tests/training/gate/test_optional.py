"""Versions whose columns may lack values are compared like any other, and no row is ever shown."""

import numpy as np
import pandas as pd
import pytest
import yaml

from cloche.training.gate.fetched_version import fetch
from cloche.training.gate.judge import judge
from cloche.training.gate.policy import carried_policy
from cloche.training.recipe.load import load_recipe
from cloche.training.train import train

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("forked_programs")]

ROWS = 240


def table():
    """A column for each way to store categories, and numbers, of which some are missing."""
    choose = np.random.default_rng(0)
    flags = choose.random(ROWS) < 0.5
    gap = choose.random(ROWS) < 0.2
    codes = pd.Series(choose.integers(1, 4, ROWS))

    def of(values, dtype):
        return pd.Series(values).astype(dtype).mask(gap)

    return pd.DataFrame(
        {
            "number": of(codes, "Int64"),
            "nullable_flag": of(flags, "boolean"),
            "plain_flag": pd.Series(flags).astype(object).mask(gap, None),
            "whole_flag": flags,
            "codes": of(codes, "Int64"),
            "whole_codes": codes,
            "float_codes": of(codes, "float64"),
            "words": of(codes.map({1: "secret one", 2: "secret two", 3: "c"}), "string"),
            "categories": pd.Series(pd.Categorical(codes.map({1: "x", 2: "y", 3: "z"}).mask(gap))),
            "coded_categories": pd.Series(pd.Categorical(codes)),
            "moment": pd.Series(pd.date_range("2026-01-01", periods=ROWS, freq="h")).mask(gap),
            "outcome": np.where(flags ^ (choose.random(ROWS) < 0.1), "yes", "no"),
        }
    )


@pytest.fixture
def versions(client, tmp_path, monkeypatch):
    """Train a recipe on a file, and have what it made as two versions."""
    monkeypatch.chdir(tmp_path)

    def versions(name):
        columns = {
            "numeric": ["number"],
            "datetime": ["moment"],
            "categorical": [one for one in table() if one not in ("number", "moment", "outcome")],
        }
        recipe = {
            "name": "gaps", "task": "binary", "target": "outcome", "positive": "yes",
            "data": {"source": name}, "columns": columns, "split": {"by": "fraction"},
            "estimator": {"class": "sklearn.linear_model.LogisticRegression"},
            "gate": {"not_worse": {"margin": 0.05}, "resamples": 100}, "acceleration": "off",
        }  # fmt: skip
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
        trained = train(load_recipe("recipe.yaml", []), lambda _: None)
        first = client.get_model_version("gaps", trained.version)
        second = client.create_model_version("gaps", first.source, first.run_id)
        found = []
        for version in (first, second):
            folder = tmp_path / f"version-{version.version}"
            folder.mkdir()
            found.append(fetch(version, folder))
        return found

    return versions


@pytest.mark.breadth
@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_the_second_version_of_a_recipe_with_gaps_is_compared(suffix, versions, client, tmp_path):
    rows = table()
    if suffix == "csv":
        rows.to_csv(tmp_path / "rows.csv", index=False)
    else:
        rows.to_parquet(tmp_path / "rows.parquet", index=False)

    serving, candidate = versions(f"rows.{suffix}")
    judgement = judge(
        client, carried_policy(candidate.model.metadata), candidate, serving,
        allow_breaking=False, timeout=120, say=lambda _: None,
    )  # fmt: skip

    assert judgement.measured.measurements.failures == {}
    verdicts = {one.name: one for one in judgement.decision.verdicts}
    assert {one.result for one in verdicts.values()} == {"passed"}
    kinds = {spec.name: spec for spec in candidate.model.signature.inputs}
    for flag in ("nullable_flag", "plain_flag"):
        assert kinds[flag].type.name == "boolean"
        assert not kinds[flag].required
