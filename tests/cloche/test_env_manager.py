"""Which environments are made, for which versions; the tool that makes them is a stand-in."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

from cloche import env_manager


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The commands that would have been run."""
    run: list[tuple[str, ...]] = []

    def record(*command: str) -> None:
        run.append(command)
        if "venv" in command:
            Path(command[-1]).mkdir()

    monkeypatch.setattr(env_manager, "_run", record)
    return run


def version(path: Path, twin: str = "") -> Path:
    """The artifacts of a version, with a twin proven with onnxruntime `twin`."""
    path.mkdir()
    (path / "requirements.txt").write_text("scikit-learn==1.9.1\n")
    (path / "python_env.yaml").write_text("python: 3.11.7\n")
    if twin:
        (path / "onnx").mkdir()
        proof = {"versions": {"onnxruntime": twin}}
        (path / "onnx" / "twin.json").write_text(json.dumps({"proof": proof}))
    return path


def test_an_environment_is_made_once_for_equal_requirements(
    commands: list[tuple[str, ...]], tmp_path: Path
) -> None:
    one = env_manager.build(version(tmp_path / "one"), "uv", tmp_path / "made")
    made = len(commands)
    other = env_manager.build(version(tmp_path / "other"), "uv", tmp_path / "made")
    assert one == other
    assert len(commands) == made == 2


def test_a_twin_brings_the_runtime_that_it_was_proven_with(
    commands: list[tuple[str, ...]], tmp_path: Path
) -> None:
    plain = env_manager.build(version(tmp_path / "plain"), "uv", tmp_path / "made")
    assert not any("onnxruntime" in word for command in commands for word in command)
    twin = env_manager.build(version(tmp_path / "twin", twin="1.32.0"), "uv", tmp_path / "made")
    assert commands[-1][-1] == "onnxruntime==1.32.0"
    assert plain != twin


def test_a_twin_that_cannot_be_read_asks_for_nothing(
    commands: list[tuple[str, ...]], tmp_path: Path
) -> None:
    artifacts = version(tmp_path / "version", twin="1.32.0")
    (artifacts / "onnx" / "twin.json").write_text("{torn")
    env_manager.build(artifacts, "uv", tmp_path / "made")
    assert commands[-1][-1] == str(artifacts / "requirements.txt")


@pytest.mark.parametrize("manager", ["uv", "virtualenv"])
def test_a_manager_that_is_not_installed_is_named_with_the_fix(
    monkeypatch: pytest.MonkeyPatch, manager: str
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(env_manager.ManagerMissing, match=f"pip install {manager}"):
        env_manager.tool(manager)
