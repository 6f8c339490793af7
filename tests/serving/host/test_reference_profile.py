import json
from pathlib import Path

import pytest

from cloche.serving.host.reference_profile import load_profile, usual_values


@pytest.mark.parametrize(
    ("column", "usual"),
    [
        ({"role": "categorical", "counts": {"a": 2, "b": 1}, "other": 0},
         {"role": "categorical", "values": ["a", "b"], "complete": True}),
        ({"role": "categorical", "counts": {"a": 2}, "other": 7},
         {"role": "categorical", "values": ["a"], "complete": False}),
        ({"role": "numeric", "quantiles": {"0.0": 0, "0.01": 1, "0.99": 9, "1.0": 99}},
         {"role": "numeric", "low": 1, "high": 9}),
        ({"role": "numeric", "missing": 3}, {"role": "numeric"}),
        ({"role": "datetime", "first": "2013-01-01", "last": "2013-12-31"},
         {"role": "datetime", "low": "2013-01-01", "high": "2013-12-31"}),
        ({"role": "datetime", "missing": 3}, {"role": "datetime"}),
        ({"role": "text", "length": {}}, {"role": "text"}),
    ],
)  # fmt: skip
def test_a_column_tells_what_is_usual(column: dict[str, object], usual: dict[str, object]) -> None:
    assert usual_values({"columns": {"one": column}}) == {"one": usual}


def test_a_version_without_a_profile_tells_nothing(tmp_path: Path) -> None:
    assert usual_values(load_profile(tmp_path)) == {}


def test_a_profile_of_another_schema_tells_nothing(tmp_path: Path) -> None:
    (tmp_path / "artifacts").mkdir()
    told = json.dumps({"schema": 2, "columns": {"one": {"role": "text"}}})
    (tmp_path / "artifacts" / "profile.json").write_text(told)
    assert load_profile(tmp_path) == {}
