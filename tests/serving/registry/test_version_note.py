"""A version outside any registry that says which one it is."""

from pathlib import Path

import pytest

from cloche.registry.version_digest import digest_tree
from cloche.serving.errors import VersionRefused
from cloche.serving.host.predictors.twin import ANY
from cloche.serving.registry import version_note
from cloche.serving.registry.resolver import Resolver
from cloche.serving.registry.uri import parse


def nobody():
    raise AssertionError("no registry is asked")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors: {}\n")
    return folder


def test_a_folder_with_a_note_is_the_version_that_it_names(model: Path) -> None:
    note = version_note.Note("flight delay", "7", digest_tree(model), "a twin's digest")
    note.write(model)
    uri = parse(str(model))
    target = Resolver(nobody).resolve(uri)
    assert uri.name == "flight delay"
    assert (target.version, target.digest, target.twin) == ("7", note.digest, note.twin)
    assert parse(f"late={model}").name == "late", "another name may be given to it"
    assert digest_tree(model) == note.digest, "the note does not count in it"


def test_a_folder_without_a_note_has_no_version(model: Path) -> None:
    target = Resolver(nobody).resolve(parse(str(model)))
    assert (target.version, target.digest, target.twin) == ("", "", ANY)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"name": "a", "number": 1}'])
def test_a_note_that_cannot_be_read_is_no_version(model: Path, text: str) -> None:
    (model / version_note.NOTE_FILE).write_text(text)
    with pytest.raises(VersionRefused, match="Run cloche build again"):
        parse(str(model))
