"""The digest of a version.

SHA-256 over its artifact tree, written at promotion and checked before a version serves.
"""

import hashlib
from pathlib import Path

_ADDED_BY_DOWNLOAD = "registered_model_meta"  # MLflow writes it into what it downloads


def digest_tree(root: Path) -> str:
    """SHA-256 (hex) of the files under `root`.

    Their relative paths in byte order, each with the hash of its content.
    """
    tree = hashlib.sha256()
    files = (path for path in root.rglob("*") if path.is_file())
    named = ((path.relative_to(root).as_posix(), path) for path in files)
    for name, path in sorted(entry for entry in named if entry[0] != _ADDED_BY_DOWNLOAD):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        tree.update(f"{content}  {name}\n".encode())
    return tree.hexdigest()
