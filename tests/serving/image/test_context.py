"""A build context holds all that an image of a version needs."""

import re
from pathlib import Path

import pytest

from cloche.registry.version_digest import digest_tree
from cloche.serving.errors import SettingsError, VersionRefused
from cloche.serving.image.context import write
from cloche.serving.registry import version_note


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A saved model, as somebody keeps it who shares nothing."""
    folder = tmp_path / "churn"
    (folder / "data").mkdir(parents=True)
    (folder / "MLmodel").write_text("flavors: {}\n")
    (folder / "data" / "model.bin").write_bytes(b"weights")
    for path in (*folder.rglob("*"), folder):
        path.chmod(0o700 if path.is_dir() else 0o600)
    return folder


def test_the_files_are_those_of_the_version_and_everybody_may_read_them(
    model: Path, tmp_path: Path
) -> None:
    context = tmp_path / "context"
    note = write(str(model), context, base="cloche:1", cache_directory=tmp_path / "cache")
    assert digest_tree(context / "model") == note.digest == digest_tree(model)
    assert version_note.read(context / "model") == note
    for path in (context / "model").rglob("*"):
        assert path.stat().st_mode & 0o005 == (0o005 if path.is_dir() else 0o004), path


def test_the_dockerfile_names_the_base_and_what_it_makes(model: Path, tmp_path: Path) -> None:
    version_note.Note('a "$HOME" of models', "7", digest_tree(model), "").write(model)
    write(str(model), tmp_path / "context", base="cloche:1", cache_directory=tmp_path / "cache")
    text = (tmp_path / "context" / "Dockerfile").read_text()
    assert re.search(r"^FROM cloche:1$", text, flags=re.MULTILINE)
    assert r'cloche.model="a \"\$HOME\" of models" cloche.version="7"' in text


def test_a_version_that_was_altered_is_not_written(model: Path, tmp_path: Path) -> None:
    version_note.Note("churn", "7", "another digest", "").write(model)
    with pytest.raises(VersionRefused, match="altered"):
        write(str(model), tmp_path / "context", base="b", cache_directory=tmp_path / "cache")


def test_nothing_is_written_over(model: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="Name a directory that does not exist"):
        write(str(model), model, base="b", cache_directory=tmp_path / "cache")
