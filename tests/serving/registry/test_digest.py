import hashlib
from pathlib import Path

from cloche.serving.registry.digest import digest_tree


def tree(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def test_it_is_what_its_definition_says(tmp_path: Path) -> None:
    one, two = (hashlib.sha256(content).hexdigest().encode() for content in (b"1", b"2"))
    expected = hashlib.sha256(b"MLmodel\0" + one + b"\na/b\0" + two + b"\n").hexdigest()
    assert digest_tree(tree(tmp_path, {"a/b": b"2", "MLmodel": b"1"})) == expected


def test_a_download_and_its_source_have_the_same(tmp_path: Path) -> None:
    source = tree(tmp_path / "source", {"MLmodel": b"1"})
    added = {
        "MLmodel": b"1",
        "registered_model_meta": b"x",
        "code/__pycache__/a.pyc": b"y",
        "onnx/model.onnx": b"a twin has a digest of its own",
        "onnx/twin.json": b"{}",
    }
    assert digest_tree(tree(tmp_path / "download", added)) == digest_tree(source)


def test_one_changed_byte_changes_it(tmp_path: Path) -> None:
    one = tree(tmp_path / "one", {"MLmodel": b"1"})
    other = tree(tmp_path / "other", {"MLmodel": b"2"})
    assert digest_tree(one) != digest_tree(other)
