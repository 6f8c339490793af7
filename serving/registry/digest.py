"""The digest of a version: written at promotion, and checked here before a version serves.

SHA-256 over the artifact tree. For every regular file: its path relative to the root with `/`, one
zero byte, the hexadecimal SHA-256 of its content, one line feed; concatenated in the order of the
paths' UTF-8 bytes. The notes that MLflow adds to downloads and `cloche build` to images, Python's
bytecode and the accelerated twin (whose digest is a tag of its own) do not count.
"""

import hashlib
from pathlib import Path

from cloche.serving.registry import pinned

_NOTES = frozenset({"registered_model_meta", pinned.FILE})
_BYTECODE = "__pycache__"

# The accelerated twin has a digest of its own, so that a version in production can get one.
_TWIN = frozenset({"onnx/model.onnx", "onnx/twin.json"})


def digest_tree(root: Path) -> str:
    """The digest of the artifacts under `root`, in hexadecimal."""
    files = {
        path.relative_to(root).as_posix().encode(): path
        for path in root.rglob("*")
        if path.is_file() and _counts(path.relative_to(root))
    }
    tree = hashlib.sha256()
    for name in sorted(files):
        with files[name].open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        tree.update(name + b"\0" + content.encode() + b"\n")
    return tree.hexdigest()


def _counts(relative: Path) -> bool:
    name = relative.as_posix()
    return name not in _NOTES and name not in _TWIN and _BYTECODE not in relative.parts
