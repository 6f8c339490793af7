"""The digest: what counts, what does not, and the definition in a second form."""

import hashlib

import pytest

from cloche.registry.version_digest import digest_tree


def plant(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


FILES = {"MLmodel": b"flavors", "model/weights.bin": b"\0\1", "ärger.txt": b"x", "model.txt": b""}


def test_the_digest_is_what_its_definition_says(tmp_path):
    names = sorted(FILES, key=str.encode)
    text = b"".join(
        name.encode() + b"\0" + hashlib.sha256(FILES[name]).hexdigest().encode() + b"\n"
        for name in names
    )
    assert digest_tree(plant(tmp_path, FILES)) == hashlib.sha256(text).hexdigest()


@pytest.mark.parametrize(
    "extra",
    [
        "registered_model_meta", "__pycache__/code.cpython-311.pyc", "code/__pycache__/a.pyc",
        "onnx/model.onnx", "onnx/twin.json",
    ],
)  # fmt: skip
def test_what_mlflow_python_and_acceleration_write_beside_the_artifacts_does_not_count(
    tmp_path, extra
):
    clean = digest_tree(plant(tmp_path / "clean", FILES))
    assert digest_tree(plant(tmp_path / "used", {**FILES, extra: b"noise"})) == clean


@pytest.mark.parametrize(
    "files",
    [
        {**FILES, "MLmodel": b"flavors "},
        {**FILES, "more": b""},
        {**FILES, "model/registered_model_meta": b"noise"},
        {**FILES, "onnx/other": b"noise"},
        {name: content for name, content in FILES.items() if name != "model.txt"},
    ],
    ids=["changed", "added", "a namesake further down", "beside a twin", "removed"],
)
def test_any_change_of_the_artifacts_changes_it(tmp_path, files):
    before = digest_tree(plant(tmp_path / "before", FILES))
    assert digest_tree(plant(tmp_path / "after", files)) != before
