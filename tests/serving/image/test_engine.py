"""Which engine is taken, and what it is told."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cloche.serving.errors import BuildFailed, SettingsError
from cloche.serving.image.engine import build, find

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a program into a PATH that has no other; it notes its arguments."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def put(name: str, code: int = 0) -> Path:
        program, told = tmp_path / name, tmp_path / f"{name}.told"
        program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {told}\nexit {code}\n')
        program.chmod(0o755)
        return told

    return put


def test_docker_is_first(install: Install) -> None:
    for name in ("buildah", "podman", "docker"):
        install(name)
    assert find() == "docker"


def test_a_client_of_docker_that_nobody_answers_is_passed_by(install: Install) -> None:
    install("docker", code=1)
    install("podman")
    assert find() == "podman"


def test_the_one_that_is_named_is_taken(install: Install) -> None:
    for name in ("buildah", "podman"):
        install(name)
    assert find("buildah") == "buildah"


@pytest.mark.parametrize(
    ("name", "fix"), [("", "--context-only"), ("podman", "Install it, or leave")]
)
def test_what_to_do_without_one_is_told(install: Install, name: str, fix: str) -> None:
    with pytest.raises(SettingsError, match=fix):
        find(name)


def test_it_is_told_the_context_the_name_and_the_options(install: Install) -> None:
    told = install("podman")
    build("podman", Path("context"), "m:7", ["--platform", "linux/amd64"])
    assert told.read_text().split() == [
        *("build", "--file", "context/Dockerfile", "--tag", "m:7"),
        *("--platform", "linux/amd64", "context"),
    ]


def test_an_image_that_is_not_built_is_a_failure(install: Install) -> None:
    install("podman", code=125)
    with pytest.raises(BuildFailed, match=r"exit code 125.*--base"):
        build("podman", Path("context"), "m:7", [])
