"""Which engine is taken, and what it is told."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cloche.serving.errors import BuildFailed
from cloche.serving.image.container_engine import build, find

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


@pytest.mark.parametrize(
    ("codes", "named", "found"),
    [
        ({"buildah": 0, "podman": 0, "docker": 0}, "", "docker"),
        ({"podman": 0, "docker": 1}, "", "podman"),
        ({"buildah": 0, "podman": 0}, "buildah", "buildah"),
    ],
    ids=["docker is first", "unless nobody answers its client", "or another is named"],
)
def test_an_engine_is_chosen(
    install: Install, codes: dict[str, int], named: str, found: str
) -> None:
    for name, code in codes.items():
        install(name, code)
    assert find(named) == found


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
