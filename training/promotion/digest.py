"""The identity of a version's artifacts, so that what serves is provably what was judged."""

import hashlib
from pathlib import Path

# MLflow writes this file beside the artifacts of whoever downloads a version, with the name and the
# number it was downloaded by; copies of one version differ in nothing else.
_DOWNLOAD_NOTE = "registered_model_meta"

# Python writes it beside code that was imported.
_BYTECODE = "__pycache__"

# The accelerated twin has a digest of its own, so that a version in production can get one.
_TWIN = frozenset({"onnx/model.onnx", "onnx/twin.json"})

_CHUNK = 1 << 20


def artifact_digest(folder: Path) -> str:
    """SHA-256 over an artifact tree.

    The definition, for everybody who computes it anew:

    1. Take every regular file below the folder, symbolic links followed, by its path relative to
       the folder with `/` between the parts. Leave out the file `registered_model_meta` at the top,
       the files `onnx/model.onnx` and `onnx/twin.json`, and everything in a folder named
       `__pycache__`. Empty folders do not count.
    2. Sort the paths by their UTF-8 bytes.
    3. Concatenate, for each path: its UTF-8 bytes, one zero byte, the lower-case hexadecimal
       SHA-256 of the file's content in ASCII, one line feed.
    4. The digest is the lower-case hexadecimal SHA-256 of that.

    Args:
        folder: a version's artifacts, as downloaded.

    Returns:
        64 hexadecimal digits.
    """
    files = {
        path.relative_to(folder).as_posix().encode(): path
        for path in folder.rglob("*")
        if path.is_file() and _counts(path.relative_to(folder))
    }
    tree = hashlib.sha256()
    for name in sorted(files):
        tree.update(name + b"\0" + _content(files[name]).encode() + b"\n")
    return tree.hexdigest()


def _counts(relative: Path) -> bool:
    name = relative.as_posix()
    return name != _DOWNLOAD_NOTE and name not in _TWIN and _BYTECODE not in relative.parts


def _content(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
