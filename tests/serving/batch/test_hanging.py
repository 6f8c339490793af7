"""Workers that die, hang, or are stopped: the row is found, and no job waits without a word."""

import io
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cloche.serving.batch.job import silence_notice
from cloche.serving.batch.job.part import Part
from cloche.serving.batch.scoring import local_engine, worker_pool, worker_start
from cloche.serving.batch.scoring.crash_recovery import PartRetry, WorkerDeath
from cloche.serving.batch.scoring.local_engine import LocalEngine
from cloche.serving.errors import JobFailed
from tests import warm
from tests.online import children
from tests.serving.batch.conftest import part, table

pytestmark = pytest.mark.xdist_group("hanging")
BAD = 13


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., LocalEngine]]:
    """Engines with one worker, whose processes are forks of the warm one."""
    monkeypatch.setattr(sys, "executable", warm.python())
    made: list[LocalEngine] = []

    def make(**options: object) -> LocalEngine:
        made.append(LocalEngine(1, **options))
        return made[-1]

    yield make
    for one in made:
        one.__exit__()


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Sixty rows, one of which the model does not survive."""
    rows = table(60).fillna({"a": 0.0})
    rows.loc[17, "a"] = BAD
    rows.to_parquet(tmp_path / "rows.parquet")
    return tmp_path / "rows.parquet"


def quarantined(place: Path) -> dict[int, str]:
    lines = (place.parent / f"{place.name}.quarantine.jsonl").read_text().splitlines()
    return {json.loads(line)["row"]: json.loads(line)["reason"] for line in lines}


@pytest.mark.parametrize(
    ("model", "forking", "reason"),
    [
        ("deadly", True, "scoring it killed the worker (exit code 9)"),
        ("endless", True, "scoring it took longer than 1 s (--predict-timeout)"),
        pytest.param(
            "deadly", False, "scoring it killed the worker (exit code 9)", marks=pytest.mark.breadth
        ),
    ],
)
def test_the_row_is_found_and_the_others_are_scored(
    rows, local, score, tmp_path, monkeypatch, *, model, forking, reason
):
    monkeypatch.setattr(
        local_engine, "starter", lambda *told, **_: worker_start.starter(*told, forking=forking)
    )
    monkeypatch.setattr(silence_notice, "WORD_SECONDS", 0.5)
    said: list[str] = []

    outcome = score(
        rows, tmp_path / "out.csv", model=model, part_rows=1000,
        engine=local(time_limit=1.0, say=said.append),
    )  # fmt: skip

    assert quarantined(tmp_path / "out.csv") == {17: reason}
    assert outcome.manifest["scored"] == 59
    if model == "endless":  # a worker that starts slowly is silent, too
        assert any(line.startswith("part 0 has been silent") for line in said)


def test_a_stopped_worker_is_noticed_and_its_part_is_done_again_whole(
    local, score, tmp_path, monkeypatch
):
    monkeypatch.setattr(worker_pool, "_OTHERWISE_SECONDS", 2.0)
    monkeypatch.setattr(silence_notice, "WORD_SECONDS", 1.0)
    table(60).to_parquet(tmp_path / "rows.parquet")
    said: list[str] = []
    stopped: list[int] = []
    assign = worker_pool.WorkerPool.assign

    def stop_first(
        self: worker_pool.WorkerPool, worker: worker_pool.WorkerProcess, given: Part
    ) -> None:
        if not stopped:
            stopped.extend(children(worker._process.pid, "cloche-worker"))
            for pid in stopped:
                os.kill(pid, signal.SIGSTOP)
        assign(self, worker, given)

    monkeypatch.setattr(worker_pool.WorkerPool, "assign", stop_first)
    outcome = score(
        tmp_path / "rows.parquet", tmp_path / "out.csv", part_rows=1000,
        engine=local(say=said.append),
    )  # fmt: skip

    assert stopped
    assert outcome.manifest["scored"] == 60
    assert any("its process is stopped" in line for line in said), said


def kill(case: PartRetry, deadly: set[int], rows: int, *, hangs: bool = False) -> int:
    """Answer the case's questions as workers do; how many of them are lost."""
    lost = 0
    while True:
        asked = case.request()
        low, high = asked.get("try", (0, rows))
        step = asked.get("rows_per_call") or rows
        left = {row for row in deadly if str(row) not in map(str, asked["without"])}
        for start in range(low, high, step):
            if any(start <= row < min(start + step, high) for row in left):
                case.died(
                    WorkerDeath("gone", rows=(start, min(start + step, high)), again=not hangs)
                )
                lost += 1
                break
        else:
            if "try" not in asked:
                return lost
            case.survived()


@pytest.mark.parametrize("hangs", [False, True])
@pytest.mark.parametrize("deadly", [{0}, {19_999}, {7, 9_000}])
def test_few_workers_are_lost_for_a_row_among_thousands(hangs, deadly):
    case = PartRetry(part(stop=1_000_000))
    assert kill(case, deadly, 20_000, hangs=hangs) <= 16 * len(deadly)
    assert set(case.request()["without"]) == deadly


def test_a_model_that_has_no_time_for_many_rows_gets_fewer_and_none_is_blamed():
    case = PartRetry(part(stop=1_000_000))

    def lost() -> bool:
        asked = case.request()
        low, high = asked.get("try", (0, 20_000))
        step = min(asked.get("rows_per_call") or 20_000, high - low)
        if step > 100:
            case.died(WorkerDeath("slow", rows=(low, low + step), again=False))
            return True
        if "try" in asked:
            case.survived()
        return "try" in asked

    while lost():
        pass
    assert case.request()["without"] == {}
    assert 25 <= case.request()["rows_per_call"] <= 100


def test_where_processes_start_slowly_their_number_has_a_bound(rows, local, score, monkeypatch):
    monkeypatch.setattr(worker_pool, "_MOST_STARTS", 2)
    monkeypatch.setattr(worker_start.ForkStarter, "quick", False)
    with pytest.raises(JobFailed, match="each new one takes seconds to start") as failure:
        score(rows, rows.parent / "out.csv", model="deadly", engine=local(), part_rows=1000)
    assert "where the model or its rows are mended, begin anew with --overwrite." in str(
        failure.value
    )
    table(60).to_parquet(rows)
    score(rows, rows.parent / "out.csv", model="deadly", engine=local(), overwrite=True)


def test_a_stream_that_keeps_us_waiting_is_named(monkeypatch):
    monkeypatch.setattr(silence_notice, "WORD_SECONDS", 0.05)
    heard = threading.Event()
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        heard.set()

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            assert heard.wait(60)
            return super().read(size)

    with silence_notice.report_silence(say):
        assert silence_notice.watched(Slow(b"a,b"), "standard input").read(10) == b"a,b"

    assert said[0].startswith("standard input has been silent for")
