"""Which environments are made, for which versions; the tool that makes them is a stand-in."""

import importlib.util
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import mlflow
import pytest
from mlflow.utils.virtualenv import _get_python_env

from cloche.main import cloche
from cloche.registry import env_manager
from cloche.registry.cached_environments import COMPLETE, environment_of, interpreter_beside
from cloche.registry.installed_packages import CURRENT
from cloche.registry.stage_chain import Member, write_chain

RUN = env_manager._run


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The commands that would have been run, with the lines of the files that they read."""
    run: list[tuple[str, ...]] = []

    def record(*command: str, folder: str | None = None, hint: str = "") -> None:
        if folder is not None:
            lines = Path(command[-1]).read_text().splitlines()
            assert all((Path(folder) / line.removeprefix("-r ")).exists()
                       for line in lines if line.startswith(("-r ", "code/")))  # fmt: skip
            command = (*command[:-1], *lines)
        run.append(command)
        if folder is None:
            Path(command[-1]).mkdir()

    monkeypatch.setattr(env_manager, "_run", record)
    return run


def version(path: Path, twin: str = "") -> Path:
    """The artifacts of a version, with a twin proven with onnxruntime `twin`."""
    path.mkdir()
    (path / "requirements.txt").write_text("mlflow\nscikit-learn==1.9.1\n")
    (path / "python_env.yaml").write_text("python: 3.11.7\n")
    if twin:
        (path / "onnx").mkdir()
        proof = {"versions": {"onnxruntime": twin}}
        (path / "onnx" / "twin.json").write_text(json.dumps({"proof": proof}))
    return path


def test_an_environment_is_made_once_for_equal_requirements(commands, tmp_path):
    one = env_manager.build(version(tmp_path / "one"), "uv", tmp_path / "made")
    made = len(commands)
    other = env_manager.build(version(tmp_path / "other"), "uv", tmp_path / "made")
    assert one == other
    assert len(commands) == made == 2


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    """A chain of two versions that need different environments."""
    stage, model = version(tmp_path / "stage"), version(tmp_path / "model", twin="1.32.0")
    for folder in (stage, model):
        mlflow.models.Model().save(str(folder / "MLmodel"))
    members = [Member("s 1", stage), Member("m 2", model)]
    write_chain(tmp_path / "chain", members)
    return tmp_path / "chain"


def test_each_version_of_a_chain_has_the_environment_that_it_has_alone(
    commands, tmp_path, chain, monkeypatch
):
    python = env_manager.interpreter(chain, "uv", tmp_path / "made", print)

    stage, model = (
        env_manager.build(tmp_path / name, "uv", tmp_path / "made") for name in ("stage", "model")
    )
    assert len(commands) == 4
    assert (python, str(stage) != python) == (str(model), True)
    assert interpreter_beside(tmp_path / "stage") == ""
    monkeypatch.setattr(sys, "prefix", str(model.parents[1]))
    assert interpreter_beside(tmp_path / "stage") == str(stage)
    assert interpreter_beside(tmp_path / "model") == ""


def test_a_version_that_names_no_python_has_the_one_of_the_builder(
    commands, tmp_path, chain, monkeypatch
):
    """The process that looks for it may have another Python: that of the version after it."""
    (tmp_path / "stage" / "python_env.yaml").unlink()
    model = Path(env_manager.interpreter(chain, "uv", tmp_path / "made", print))
    assert (model.parents[1] / COMPLETE).read_text() == f"uv {CURRENT}"
    (model.parents[1] / COMPLETE).write_text("uv 3.99")  # built by this Python
    monkeypatch.setattr(sys, "prefix", str(model.parents[1]))
    _, name = environment_of(tmp_path / "stage", "uv", python="3.99")
    assert Path(interpreter_beside(tmp_path / "stage")).parts[-3] == name


def test_the_version_of_a_chain_that_has_no_environment_is_named(tmp_path, chain):
    (tmp_path / "stage" / "python_env.yaml").write_text("python: 3.9.1\n")
    with pytest.raises(env_manager.NotBuilt, match=r"^s 1: It was logged with Python 3\.9"):
        env_manager.interpreter(chain, "uv", tmp_path / "made", print)


def test_an_environment_of_an_older_release_is_not_built_again(commands, tmp_path):
    artifacts = version(tmp_path / "one")
    place = env_manager.build(artifacts, "uv", tmp_path / "made").parents[1]
    (place / ".complete").write_text("")
    env_manager.build(artifacts, "uv", tmp_path / "made")
    assert (len(commands), (place / ".complete").read_text()) == (2, f"uv {CURRENT}")


PINNED = """python: 3.12.7
build_dependencies: [pip==23.3.1, setuptools==68.2.2, wheel]
dependencies: [-r requirements.txt, code/own.whl]
"""
CONDA = """dependencies:
- python=3.12.1
- pip<=23.3.1
- setuptools=68.2.2
- libgomp
- pip: [mlflow==2.12.2, code/own.whl]
"""


@pytest.mark.parametrize(
    ("files", "lines"),
    [
        ({"python_env.yaml": PINNED, "requirements.txt": "mlflow\n"},
         (["pip==23.3.1", "setuptools==68.2.2", "wheel"], ["-r requirements.txt", "code/own.whl"])),
        ({"conda.yaml": CONDA, "requirements.txt": "--index-url https://index\nmlflow\n"},
         (["pip<=23.3.1", "setuptools==68.2.2"], ["-r requirements.txt"])),
        ({"conda.yaml": CONDA},
         (["pip<=23.3.1", "setuptools==68.2.2"], ["mlflow==2.12.2", "code/own.whl"])),
    ],
)  # fmt: skip
@pytest.mark.parametrize("manager", ["uv", "virtualenv"])
def test_an_environment_is_what_mlflow_makes(commands, tmp_path, manager, files, lines):
    """The Python, then what builds need, then the rest; each from the file that MLflow reads."""
    artifacts = tmp_path / "version"
    (artifacts / "code").mkdir(parents=True)
    (artifacts / "code" / "own.whl").touch()
    for name, content in files.items():
        (artifacts / name).write_text(content)
    mlflow.models.Model().save(str(artifacts / "MLmodel"))

    env_manager.build(artifacts, manager, tmp_path / "made")

    made, first, second = commands
    build, dependencies = lines
    assert made[made.index("--python") + 1] == "3.12"
    assert list(first[first.index("-r") + 1 :]) == build
    assert list(second[second.index("-r") + 1 :]) == dependencies
    theirs = _get_python_env(artifacts)
    assert theirs.python.startswith("3.12.")
    assert (theirs.build_dependencies, theirs.dependencies) == (build, dependencies)


def test_advice_is_given_only_where_it_can_help(tmp_path: Path) -> None:
    artifacts = version(tmp_path / "version")
    (artifacts / "python_env.yaml").write_text("python: 3.99.1\n")
    for manager, helps in (("uv", False), ("virtualenv", True)):
        with pytest.raises(env_manager.NotBuilt, match=r"3\.99") as failure:
            env_manager.build(artifacts, manager, tmp_path / "cache")
        assert ("uv fetches it" in str(failure.value)) == helps


def test_a_python_that_is_not_here_is_fetched_by_the_manager_that_is_advised(
    commands, tmp_path, monkeypatch
):
    artifacts = version(tmp_path / "version")
    lacking = subprocess.CompletedProcess((), 1, "", "no such Python")
    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "run", lambda *_, **__: lacking)
        patch.setattr(env_manager, "_run", RUN)
        with pytest.raises(env_manager.NotBuilt) as failure:
            env_manager.build(artifacts, "virtualenv", tmp_path / "cache")
    manager = re.search(r"--env-manager (\w+) fetches it\.$", str(failure.value))[1]
    assert env_manager.build(artifacts, manager, tmp_path / "cache")
    assert commands[0][-4:-1] == ("--quiet", "--python", "3.11")


def test_a_version_is_logged_with_a_later_python_as_it_is_advised(commands, tmp_path):
    artifacts = version(tmp_path / "version")
    (artifacts / "python_env.yaml").write_text("python: 3.9.1\n")
    with pytest.raises(env_manager.NotBuilt) as refusal:
        env_manager.interpreter(artifacts, "uv", tmp_path / "cache", print)
    said = r"runs on ([\d.]+) or later\. Log it with a later one,"
    later = re.search(said, str(refusal.value))[1]
    (artifacts / "python_env.yaml").write_text(f"python: {later}\n")
    assert env_manager.interpreter(artifacts, "uv", tmp_path / "cache", print)
    assert later in commands[0]


def test_a_cache_may_be_named_from_the_working_directory(commands, tmp_path, monkeypatch):
    artifacts = version(tmp_path / "one")
    monkeypatch.chdir(tmp_path)

    python = env_manager.build(artifacts, "uv", Path("made"))

    assert python.is_absolute()
    assert commands[0][-1] == str(python.parents[1])
    assert str(python) in commands[1]


def test_a_twin_brings_the_runtime_that_it_was_proven_with(commands, tmp_path):
    plain = env_manager.build(version(tmp_path / "plain"), "uv", tmp_path / "made")
    assert not any("onnxruntime" in word for command in commands for word in command)
    twin = env_manager.build(version(tmp_path / "twin", twin="1.32.0"), "uv", tmp_path / "made")
    assert commands[-1][-1] == "onnxruntime==1.32.0"
    assert plain != twin


def test_a_twin_that_cannot_be_read_asks_for_nothing(commands, tmp_path):
    artifacts = version(tmp_path / "version", twin="1.32.0")
    (artifacts / "onnx" / "twin.json").write_text("{torn")
    env_manager.build(artifacts, "uv", tmp_path / "made")
    assert commands[-1][-1] == "-r requirements.txt"


@pytest.mark.parametrize("manager", ["uv", "virtualenv"])
def test_a_manager_that_is_not_installed_is_named_with_the_fix(monkeypatch, manager):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(env_manager.ManagerMissing, match=f"pip install {manager}"):
        env_manager.tool_command(manager)


def test_builders_at_once_build_once(commands: list[tuple[str, ...]], tmp_path: Path) -> None:
    versions = [version(tmp_path / str(number)) for number in range(4)]
    with ThreadPoolExecutor(4) as threads:
        built = threads.map(lambda one: env_manager.build(one, "uv", tmp_path / "cache"), versions)
        assert len(set(built)) == 1
    assert len(commands) == 2


@pytest.mark.parametrize(
    ("requirements", "more"),
    [
        ("mlflow==3.17.2\n", []),
        ("MLflow[extras]>=3 ; python_version > '3'\n", []),
        ("mlflow-skinny==3.17.2\npandas\n", ["pyarrow", "threadpoolctl"]),
        ("mlflow-skinny\npyarrow==20\n", ["threadpoolctl"]),
    ],
)
def test_what_batches_and_the_gate_need_is_added_where_it_would_lack(
    commands: list[tuple[str, ...]], tmp_path: Path, requirements: str, more: list[str]
) -> None:
    artifacts = version(tmp_path / "version")
    (artifacts / "requirements.txt").write_text(requirements)
    env_manager.build(artifacts, "uv", tmp_path / "cache")
    at = commands[-1].index("-r")
    assert list(commands[-1][at + 2 :]) == more


@pytest.mark.parametrize("line", ["psycopg[binary]>=3.2", "pyspark<4.4,>=4.3"])
def test_an_extra_is_asked_for_with_all_that_its_lines_say(
    line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = ["mlflow>=3", f"{line} ; extra == 'one'", "boto3 ; extra == 'other'"]
    monkeypatch.setattr(env_manager, "requires", lambda _: listed)
    assert env_manager.extra_requirements("one") == [line]


@pytest.mark.parametrize("command", ["serve", "score", "promote"])
def test_all_commands_that_run_versions_take_one_option_with_one_default(monkeypatch, command):
    found = cloche.get_command(click.Context(cloche), command)
    assert found is not None
    (option,) = [one for one in found.params if one.name == "env_manager"]
    context = click.Context(found)
    assert option.get_default(context) == "local"
    monkeypatch.setenv("CLOCHE_ENV_MANAGER", "uv")
    assert option.resolve_envvar_value(context) == "uv"
    monkeypatch.setenv(f"CLOCHE_{command.upper()}_ENV_MANAGER", "virtualenv")
    assert option.resolve_envvar_value(context) == "virtualenv"


class TestDefaultCache:
    """Where versions and environments are kept, when nothing is said."""

    @pytest.fixture(autouse=True)
    def _temporary(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def test_it_is_the_users_cache_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("HOME", str(tmp_path / "home, not made yet"))
        assert env_manager.default_cache() == tmp_path / "home, not made yet/.cache/cloche"

    def test_a_home_that_cannot_be_written_is_done_without(self, tmp_path, monkeypatch):
        """Nobody, not even root, makes a folder in /proc."""
        monkeypatch.setenv("HOME", "/proc/1/nowhere")
        monkeypatch.setattr(os, "access", lambda path, _: not str(path).startswith("/proc"))

        found = env_manager.default_cache()

        assert found == tmp_path / f"cloche-{os.getuid()}"
        assert stat.S_IMODE(found.stat().st_mode) == 0o700
        assert env_manager.default_cache() == found

    def test_a_user_may_have_no_home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        def missing() -> Path:
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.setattr(Path, "home", missing)

        assert env_manager.default_cache() == tmp_path / f"cloche-{os.getuid()}"

    def test_what_somebody_else_made_there_is_not_used(self, tmp_path, monkeypatch):
        (tmp_path / f"cloche-{os.getuid()}").symlink_to("/etc")
        monkeypatch.setattr(os, "access", lambda *_: False)

        found = env_manager.default_cache()

        assert found.parent == tmp_path
        assert found.name != f"cloche-{os.getuid()}"
