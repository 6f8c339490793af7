from dataclasses import asdict

import pytest

from benchmarks import batch_results
from benchmarks.batch_report import lines, render
from benchmarks.batch_results import BatchRun, Results, Unmeasured
from benchmarks.tables import table


def run(way: str, seconds: float, rows: int = 1000, kind: str = "csv") -> BatchRun:
    return BatchRun("linear", way, kind, rows, seconds, 100.0)


def test_a_line_is_the_median_of_its_rounds_beside_mlflow_and_the_limit():
    found = lines(
        [run("raw", 1.0, kind="memory"), run("mlflow", 20.0)]
        + [run("cloche", seconds) for seconds in (2.0, 1.0, 90.0)]
    )

    (one,) = (line for line in found if line.way == "cloche")
    assert (one.seconds, one.rate) == (2.0, 500.0)
    assert one.times == pytest.approx(10)
    assert one.of_limit == pytest.approx(0.5)


def test_where_mlflow_was_not_tried_its_rate_at_the_most_rows_counts():
    found = lines([run("mlflow", 1.0, 10), run("mlflow", 10.0, 50), run("cloche", 10.0, 1000)])
    assert found[-1].times == pytest.approx(100 / 5)
    assert found[-1].of_limit is None


def test_what_is_measured_again_replaces_what_was_and_the_rest_stays():
    results = Results({}, {}, [run("cloche", 1.0), run("mlflow", 2.0)])
    results.forget(run("cloche", 9.0))
    assert results.runs == [run("mlflow", 2.0)]


def test_results_of_another_machine_are_not_mixed_with_these(tmp_path):
    results = batch_results.read(tmp_path)
    results.runs.append(run("cloche", 1.0))
    batch_results.write(tmp_path, results)

    assert batch_results.read(tmp_path).runs == [run("cloche", 1.0)]
    batch_results.write(tmp_path, Results(**asdict(results) | {"machine": {"cores": "1000"}}))
    assert batch_results.read(tmp_path).runs == []


def test_what_was_not_measured_is_named_with_its_reason(tmp_path):
    results = batch_results.read(tmp_path)
    results.missing.append(
        Unmeasured("linear", "cloche_spark", "csv", 1000, "pyspark is\nnot installed")
    )

    render(results, tmp_path)

    page = (tmp_path / "batch-results.md").read_text()
    assert "- linear, cloche_spark with 1,000 rows of csv: pyspark is not installed" in page


def test_both_formats_of_a_table_hold_the_same_rows(tmp_path):
    import pandas as pd

    parquet, text = (table(100, kind, tmp_path) for kind in ("parquet", "csv"))
    pd.testing.assert_frame_equal(pd.read_parquet(parquet), pd.read_csv(text))
