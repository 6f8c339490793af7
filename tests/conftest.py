"""Settings that must be in place before anything numerical is imported."""

import gc
import importlib
import os
import shutil
import tempfile
from pathlib import Path

import hypothesis
import pytest

from cloche.processes.quick_imports import without_array_libraries
from tests import warm

pytest_plugins = ["tests.shell", "tests.flavors.saved", "tests.triton.client"]

# As the command does: with several tests at once, spinning OpenMP threads starve each other.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
# A JVM starts sooner with them; the jobs of tests end before the better compiler pays.
os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")

# A machine that is busy with other tests makes single examples slow; their number is the bound.
hypothesis.settings.register_profile("breadth", deadline=None, max_examples=50)
hypothesis.settings.register_profile("once", deadline=None, max_examples=20)

# The workers end together when what takes long begins first: groups that take a minute or more,
# then everything else that starts processes, and the quick tests, by the thousand, to fill up.
LONGEST = (
    "container", "help", "readme", "features", "deploy", "spark", "team", "whole_way", "page",
    "users_folder", "deployments", "python314", "agreement", "help_shop", "kill",
)  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Draw fewer examples where breadth is not asked for; a test may say a number of its own."""
    once = "not breadth" in config.option.markexpr
    hypothesis.settings.load_profile("once" if once else "breadth")
    if "PYTEST_XDIST_WORKER" not in os.environ:  # workers have this process's variables
        _make_temporary_folder(config)
    if config.getoption("numprocesses", None):
        warm.share_programs()
    else:  # this process runs tests
        with without_array_libraries():  # as commands do
            # first: it looks through all that was imported before
            importlib.import_module("skops.io")


def _make_temporary_folder(config: pytest.Config) -> None:
    """Have all temporary files of this run in one folder, which is removed when it ends.

    Pytest's own folders stay where they were: it keeps those of the last three runs.
    """
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    folder = Path(tempfile.mkdtemp(prefix="cloche-tests-"))  # short: sockets have paths in it
    folder.chmod(0o1777)  # as /tmp is: some tests run programs as another user
    os.environ["TMPDIR"] = os.environ["SPARK_LOCAL_DIRS"] = tempfile.tempdir = str(folder)
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest first; the Makefile tells xdist to keep to this order."""
    items.sort(key=_place)


def pytest_collection_finish() -> None:
    """Keep what was imported and collected out of every collection of garbage from here on."""
    gc.collect()
    gc.freeze()


def _place(item: pytest.Item) -> int:
    groups = [mark.args[0] for mark in item.iter_markers("xdist_group") if mark.args]
    if groups and groups[0] in LONGEST:
        return LONGEST.index(groups[0])
    return len(LONGEST) + (item.get_closest_marker("slow") is None)
