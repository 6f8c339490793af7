"""`cloche score` as real processes: killed, without disk, without a worker; nothing is lost."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cloche.serving.batch.output.layout import describe
from tests import warm
from tests.online import is_running, wait_for
from tests.serving.batch.conftest import HERE, table
from tests.shell import environment

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("kill")]

KILLS = 20
SHAPES = ("out.csv", "out.parquet", "out")
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture(scope="module")
def shop(made_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with rows, two of which the model refuses."""
    folder = tmp_path_factory.mktemp("shop")
    for name, count in (("short", 120), ("long", 1200)):
        rows = table(count)
        rows.loc[[63, 96], "a"] = 13.0
        rows.to_csv(folder / f"{name}.csv", index=False)
    return folder


def working_directory(place: Path) -> Path:
    return describe(str(place), None).place.work(place.name, Path())


def options(made_models: Path, source: Path, place: Path) -> list[str]:
    return [
        str(made_models / "picky"), str(source), str(place),
        *("--id-column", "id", "--part-rows", "5", "--workers", "2", "--no-track", "--resume"),
        *("--cache-dir", str(source.parent / "cache")),
    ]  # fmt: skip


class Forge:
    """Starts jobs in a moment; see `forge.py`."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        self.log = log

    def start(self, arguments: list[str]) -> int:
        """The process id of a job, which leads its group."""
        self._process.stdin.write(json.dumps([*arguments, str(self.log)]) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def code(self) -> int:
        """The exit code of the job that was started last, when it has ended."""
        return int(self._process.stdout.readline())


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[Forge]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.serving.batch.forge"], cwd=HERE.parents[2],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=environment() | {"OMP_NUM_THREADS": "1"},
    ) as process:  # fmt: skip
        yield Forge(process, tmp_path / "log")
        process.stdin.close()


def contents(folder: Path) -> dict[str, bytes]:
    """Everything that a job left but how long it took."""
    found = {}
    for file in folder.rglob("*"):
        if not file.is_file():
            continue
        content = file.read_bytes()
        if file.name.endswith("manifest.json"):
            record = json.loads(content)
            del record["seconds"]
            content = json.dumps(record).encode()
        found[str(file.relative_to(folder))] = content
    return found


def moments(place: Path, seconds: float, chance: random.Random) -> Callable[[], bool]:
    """Whether a moment has come that is drawn now: a time, a number of parts, or a file."""
    work = working_directory(place)
    journal, ready = work / "journal.jsonl", work / "ready"

    def parts() -> int:
        return journal.read_bytes().count(b"\n") if journal.exists() else 0

    kind = chance.choice(["time", "time", "parts", "parts", "publishing", "output"])
    end, wanted = time.monotonic() + chance.uniform(0, seconds), parts() + chance.randint(1, 12)
    return {
        "time": lambda: time.monotonic() > end,
        "parts": lambda: parts() >= wanted,
        "publishing": lambda: ready.is_dir() and any(ready.iterdir()),
        "output": place.exists,
    }[kind]


@pytest.mark.breadth
def test_killed_at_any_moment_it_leaves_what_an_undisturbed_job_leaves(
    made_models, shop, forge, tmp_path
):
    source = shop / "short.csv"
    whole, seconds = {}, 0.0
    for name in SHAPES:
        started = time.monotonic()
        forge.start(options(made_models, source, tmp_path / "whole" / name / name))
        assert forge.code() == 4, forge.log.read_text()
        whole[name], seconds = contents(tmp_path / "whole" / name), time.monotonic() - started
    chance, kills, chain = random.Random(20131101), 0, 0  # noqa: S311  # no secret

    while kills < KILLS:
        name, folder = SHAPES[chain % len(SHAPES)], tmp_path / f"torn{chain}"
        while True:
            pid = forge.start(options(made_models, source, folder / name))
            due = moments(folder / name, seconds, chance)
            while is_running(pid) and not due():
                time.sleep(0.001)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            code = forge.code()
            if code != -signal.SIGKILL:
                break
            kills += 1
            assert kills < 4 * KILLS, "it never comes to its end"
        assert code == 4, forge.log.read_text()
        assert contents(folder) == {
            file.replace(str(tmp_path / "whole" / name), str(folder)): content
            for file, content in whole[name].items()
        }
        chain += 1


@pytest.fixture
def score(made_models: Path, shop: Path, tmp_path: Path) -> Iterator[Start]:
    """Start the command; whatever is left of it is ended."""
    running = []

    def start(place: Path, limit: str = "") -> subprocess.Popen[bytes]:
        words = options(made_models, shop / "long.csv", place)
        command = [sys.executable, "-m", "cloche", "score", *words]
        limited = ["bash", "-c", f'{limit}; exec "$@"', "bash"] if limit else []
        with (tmp_path / "log").open("ab") as log:
            process = subprocess.Popen(
                [*limited, *command], stdout=log, stderr=log, env=environment(),
                start_new_session=True,
            )  # fmt: skip
        running.append(process)
        return process

    yield start
    for process in running:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="module")
def undisturbed(made_models: Path, shop: Path) -> bytes:
    """What an undisturbed job writes."""
    place = shop / "whole.csv"
    command = [
        *(warm.python(), "-m", "cloche", "score", *options(made_models, shop / "long.csv", place))
    ]
    assert subprocess.run(command, env=environment(), check=False).returncode == 4
    return place.read_bytes()


def journal_size(place: Path) -> int:
    journal = working_directory(place) / "journal.jsonl"
    return journal.stat().st_size if journal.exists() else 0


def test_the_real_command_goes_on_after_a_full_disk_and_after_its_group_was_killed(
    score, undisturbed, tmp_path
):
    place, log = tmp_path / "out.csv", tmp_path / "log"
    assert score(place, limit="ulimit -f 8").wait() == 1
    assert "cannot be written: File too large" in log.read_text()
    assert not place.exists()

    done = journal_size(place)
    job = score(place)
    wait_for(lambda: job.poll() is not None or journal_size(place) > done)
    os.killpg(job.pid, signal.SIGKILL)
    assert job.wait() == -signal.SIGKILL
    assert not place.exists()

    assert score(place).wait() == 4, log.read_text()
    assert "going on with picky after" in log.read_text()
    assert place.read_bytes() == undisturbed
