"""The digest of a version, which proves that the served version is the one that was judged.

It is the SHA-256 of a text with one entry for each regular file, sorted by the UTF-8 bytes of the
paths: the path relative to the root (with `/`), a zero byte, the SHA-256 of the content in
hexadecimal, and a line feed. Symbolic links are followed. Excluded are files that MLflow adds to
downloads or `cloche build` to images, Python's bytecode (it never runs, see `remove_bytecode`), the
accelerated twin (its digest is a tag of its own) and empty folders.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

NOTE_FILE = "cloche-pinned.json"
_NOTES = frozenset({"registered_model_meta", NOTE_FILE})
_BYTECODE = "__pycache__"
_ATTEMPTS = 3

# The accelerated twin has its own digest, so that a twin can be added to a version in production.
_TWIN = frozenset({"onnx/model.onnx", "onnx/twin.json"})


def digest_tree(root: Path) -> str:
    """Compute the digest of the artifacts under `root`, in hexadecimal."""
    files = {
        path.relative_to(root).as_posix(): path
        for path in _walk(root)
        if path.name != _BYTECODE and path.is_file()
    }
    tree = hashlib.sha256()
    for name in sorted(files.keys() - _NOTES - _TWIN, key=os.fsencode):
        with files[name].open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        tree.update(os.fsencode(name) + b"\0" + content.encode() + b"\n")
    return tree.hexdigest()


def remove_bytecode(root: Path) -> None:
    """Remove the bytecode under `root`, so that Python runs only files in the digest.

    Python runs the bytecode in a `__pycache__` instead of the source beside it, even if the source
    differs, and writes missing bytecode again.

    Raises:
        OSError: A folder cannot be removed, or is reached through a link out of `root`.
    """
    for path in [path for path in _walk(root) if path.name == _BYTECODE]:
        if not path.parent.resolve().is_relative_to(root.resolve()):
            raise OSError(f"{path} lies behind a link")
        if path.is_symlink() or path.is_file():
            path.unlink()
            continue
        for _ in range(_ATTEMPTS):  # a host may be writing into it
            shutil.rmtree(path, ignore_errors=True)
        if path.exists():
            shutil.rmtree(path)


def _walk(folder: Path, above: frozenset[str] = frozenset()) -> Iterator[Path]:
    """Yield all files in a folder, and paths named `__pycache__`, which are not entered.

    Links to folders are followed, as Python does, except to a folder that contains the link: these
    real paths are in `above`.
    """
    here = above | {os.path.realpath(folder)}
    for path in folder.iterdir():
        if path.name == _BYTECODE or path.is_file():
            yield path
        elif path.is_dir() and os.path.realpath(path) not in here:
            yield from _walk(path, here)
