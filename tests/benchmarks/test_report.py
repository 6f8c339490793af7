import pytest

from benchmarks.breakdown import Breakdown, Stage
from benchmarks.load import Measurement
from benchmarks.protocols import Protocols
from benchmarks.report import cells, render
from benchmarks.results import Load, Missing, Run, Start, write
from benchmarks.swaps import Swaps


def run(contender: str, rate: float, connections: int = 64, **values: float) -> Run:
    numbers = {"p50": 1.0, "p99": 2.0, "failed": 0} | values
    return Run("twelve", contender, connections, rate, **numbers)


def load(**content) -> Load:
    return Load(seconds=3, rounds=1, versions={"mlflow": "mlflow==3"}, **content)


def test_a_cell_is_the_median_of_all_rounds_and_the_sum_of_all_failures():
    runs = [run("cloche", rate, p99=p99, failed=1) for rate, p99 in ((10, 9), (1000, 5), (30, 7))]
    (cell,) = cells(runs)
    assert (cell.rate, cell.p99, cell.failed) == (30, 7, 3)


def test_throughput_is_compared_at_the_same_number_of_connections():
    runs = [
        run("mlflow", 10, connections=1), run("mlflow", 5, connections=64),
        run("cloche", 20, connections=1), run("cloche", 500, connections=64),
    ]  # fmt: skip

    times = {(one.contender, one.connections): one.times for one in cells(runs)}

    assert times["cloche", 1] == pytest.approx(2)
    assert times["cloche", 64] == pytest.approx(100)


@pytest.mark.parametrize("runs", [[run("cloche", 5)], [run("cloche", 5), run("mlflow", 0)]])
def test_nothing_is_compared_with_a_base_that_answered_nothing(runs):
    assert cells(runs)[0].times is None


def load_of(**content) -> tuple[str, Load]:
    return "load", load(**content)


@pytest.mark.parametrize(
    ("part", "line"),
    [
        (load_of(runs=[run("cloche", 1234.5, failed=7)], starts=[]),
         "| 64 | cloche | 1,234 |  | 1.00 | 2.00 | **7** |"),
        (load_of(missing=[Missing("twelve", "mlserver", "It ended with code 1.\nno module")]),
         "- mlserver with twelve: It ended with code 1. no module"),
        (load_of(starts=[Start("twelve", "cloche", seconds, mebibytes, "{}")
                         for seconds, mebibytes in ((1, 300), (9, 100), (2, 200))]),
         "| twelve | cloche | 2.0 | 200 |"),
        (("protocols", Protocols("twelve", 3, 3, [run("grpc", rate, failed=1)
                                          for rate in (1000, 3000, 2000)])),
         "| 64 | grpc | 2,000 | 1.00 | 2.00 | 3 |"),
    ],
    ids=["failures stand out", "what is missing has its reason", "starts", "protocols"],
)  # fmt: skip
def test_a_result_is_a_line(part, line, tmp_path):
    render(write(tmp_path, *part), tmp_path)
    assert line in (tmp_path / "results.md").read_text()


def test_a_part_that_runs_alone_leaves_the_other_parts_as_they_were(tmp_path):
    write(tmp_path, "load", load(runs=[run("mlflow", 95)]))
    found = Breakdown("twelve", 10, [Stage("host", "predict", 30.0), Stage("host", "frame", 10.0)])

    render(write(tmp_path, "breakdown", found), tmp_path)

    text = (tmp_path / "results.md").read_text()
    assert "| 64 | mlflow | 95 | 1.0 |" in text
    assert "| host | predict | 30 | 75% |" in text


def test_swaps_are_compared_with_the_time_before_them(tmp_path):
    before = [Measurement(rate, 2.0, p99, 0) for rate, p99 in ((100, 9), (300, 5), (200, 7))]
    during = [Measurement(90, 2.0, 8.0, 1), Measurement(80, 2.0, 12.0, 0)]
    found = Swaps("twelve", 64, 10, before, during, [5.0, 4.0, 9.0], 400.0, 410.0)

    render(write(tmp_path, "swaps", found), tmp_path)

    text = (tmp_path / "results.md").read_text()
    assert "| before | 200 | 7.0 | 9.0 | 0 |" in text
    assert "| during swaps | 85 | 10.0 | 12.0 | 1 |" in text
    assert "first answer of the new version: 5.0 s\n(median; 4.0 to 9.0)" in text
    assert "400 MiB after 3 versions,\n410 MiB after 3 more" in text
