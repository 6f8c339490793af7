"""Work in processes that have done their imports: a process for each, and none that is left."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloche.training.child_process import import_ahead, run_module
from tests.online import children

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("nothing_is_left")]

WORK = """
import os, sys, time
PROCESS = "work"
IMPORTED_BY = os.getpid()
done = []

def work(folder):
    done.append(folder)
    print("says", folder.name, flush=True)
    (folder / "done").write_text(f"{IMPORTED_BY} {os.getpid()} {len(done)} {sys.stdin.read()!r}")
    if folder.name == "hangs":
        time.sleep(3600)
    sys.exit(7)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module with work, which ends with code 7."""
    (tmp_path / "some_work.py").write_text(WORK)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "some_work"


@pytest.fixture
def nothing_is_left() -> Iterator[None]:
    """Fails unless the processes of the test have ended; servers of other modules may run."""
    others = set(children(os.getpid(), "cloche-forks"))
    yield
    assert set(children(os.getpid(), "cloche-forks")) <= others


def done(module: str, folder: Path, timeout: float = 60) -> tuple[int | None, str, list[str]]:
    folder.mkdir()
    ended = run_module(module, folder, timeout)
    return ended.code, ended.tail, (folder / "done").read_text().split()


def test_work_that_follows_finds_the_imports_and_nothing_else(module: str, tmp_path: Path):
    with import_ahead(module):
        first, second = (done(module, tmp_path / name) for name in ("a", "b"))
    assert [code for code, _, _ in (first, second)] == [7, 7]
    assert [said for _, said, _ in (first, second)] == ["says a", "says b"]
    assert first[2][0] == second[2][0]  # imported once
    assert first[2][1] != second[2][1]  # in processes of their own
    assert first[2][2:] == second[2][2:] == ["1", "''"]


def test_where_no_process_can_be_forked_all_work_is_done_all_the_same(module: str, tmp_path: Path):
    spawning = "from cloche.processes import fork_loop\nfork_loop.FORKING = False\n"
    (tmp_path / "some_work.py").write_text(spawning + WORK)
    with import_ahead(module):
        first, second = (done(module, tmp_path / name) for name in ("a", "b"))
    assert [code for code, _, _ in (first, second)] == [7, 7]
    assert first[2][0] != second[2][0]  # imported twice


def test_work_that_hangs_is_ended_and_the_next_one_is_done(module: str, tmp_path: Path):
    with import_ahead(module):
        hung = done(module, tmp_path / "hangs", timeout=3)
        after = done(module, tmp_path / "b")
    assert hung[0] is None
    assert after[:2] == (7, "says b")
    assert not Path(f"/proc/{hung[2][1]}").exists()


def test_a_module_that_is_not_there_says_so_and_leaves_nothing(tmp_path: Path):
    with import_ahead("no_such_work"):
        ended = run_module("no_such_work", tmp_path, 60)
    assert (ended.code, ended.in_current_environment) == (1, True)
    assert "No module named 'no_such_work'" in ended.tail
