"""The proofs that a twin answers as its model on this machine, kept in the cache between jobs.

A proof is a file whose name is the digest of all facts that can change the outcome of the
comparison; a changed fact leads to another name, and so to a new comparison. A file says nothing
about the artifacts themselves: their digests are compared for each job, before this one is asked.
This module must not import what a job imports, because a command asks it before its slow imports.
"""

import hashlib
import json
import os
import platform
import sys
import uuid
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import cloche
from cloche.processes.private_folders import make_private
from cloche.serving.batch.job.pinned_job import PinnedVersion

_KEPT = 64  # the newest; one for each version, environment and kind of machine
_LARGEST_BYTES = 1 << 16
_TWIN = ("onnx/twin.json", "onnx/model.onnx")
# The packages that the model, the twin and their comparison may run in.
_PACKAGES = (
    "cloche", "onnxruntime", "onnx", "numpy", "scipy", "scikit-learn", "skops", "pandas", "pyarrow",
    "lightgbm", "xgboost", "mlflow", "mlflow-skinny",
)  # fmt: skip
# The code that compares, below the package `cloche`.
_CODE = ("serving/batch/scoring/*.py", "serving/host/predictors/*.py", "registry/coded_graph.py")
# Prefixes of variables that choose the kernels and threads of numerical libraries, and the
# configuration with which MLflow loads a model.
_VARIABLES = ("OMP_", "OPENBLAS_", "MKL_", "NPY_", "ORT_", "GLIBC_TUNABLES", "SERVING_MODEL_CONFIG")
_CPU = Path("/proc/cpuinfo")
_CPU_FACTS = ("vendor_id", "model name", "flags", "Features", "CPU implementer", "CPU part")


class KeptProofs:
    """The proofs in a cache directory; a cache that cannot be read or written holds none."""

    def __init__(self, cache: Path) -> None:
        self._directory = cache / "proofs"

    def sufficed_for(self, uri: str) -> bool:
        """Whether the twin alone scored the last job with this model URI: the next may be alike."""
        last = next((one for one in map(_read, self._files()) if one.get("uri") == uri), {})
        return last.get("sufficed") is True

    def has(self, model: PinnedVersion) -> bool:
        """Whether the twin of a version was compared with its model under the present facts."""
        facts = _facts(model)
        return facts is not None and _read(self._file(facts)).get("facts") == facts

    def keep(self, model: PinnedVersion, *, sufficed: bool) -> None:
        """Record that the twin of a version was compared with its model, and answered alike.

        Args:
            model: The version.
            sufficed: Whether no row of the job needed the model, as far as is known.
        """
        facts = _facts(model)
        if facts is None:
            return
        file, proof = self._file(facts), {"uri": model.uri, "sufficed": sufficed, "facts": facts}
        if _read(file) == proof:
            return
        fresh = file.with_name(f"{file.name}.{uuid.uuid4().hex}")
        with suppress(OSError):  # the next job compares again
            make_private(self._directory)
            try:
                fresh.write_text(json.dumps(proof))
                fresh.replace(file)
            finally:
                fresh.unlink(missing_ok=True)
            for old in self._files()[_KEPT:]:
                old.unlink(missing_ok=True)

    def _file(self, facts: dict[str, Any]) -> Path:
        text = json.dumps(facts, sort_keys=True)
        return self._directory / f"{hashlib.sha256(text.encode()).hexdigest()}.json"

    def _files(self) -> list[Path]:
        """Return the files of all proofs, the newest first."""
        with suppress(OSError):
            return sorted(
                self._directory.glob("*.json*"), key=lambda file: file.stat().st_mtime, reverse=True
            )
        return []


def _read(file: Path) -> dict[str, Any]:
    """Read the file of a proof; empty if it is none."""
    with suppress(OSError, ValueError):
        with file.open("rb") as opened:
            found = json.loads(opened.read(_LARGEST_BYTES))
        if isinstance(found, dict):
            return found
    return {}


def _facts(model: PinnedVersion) -> dict[str, Any] | None:
    """Return what can change the outcome of the comparison; None without the pinned twin."""
    try:
        twin = [_digest(Path(model.path, name)) for name in _TWIN]
    except OSError:
        return None
    if not model.twin or model.twin not in (twin[0], "any"):
        return None
    return {
        "version": model.digest,
        "twin": twin,
        "code": _code_digest(),
        "python": sys.version,
        "packages": {name: _installed(name) for name in _PACKAGES},
        "machine": [platform.machine(), *platform.libc_ver(), *_cpu()],
        "variables": {
            name: value for name, value in os.environ.items() if name.startswith(_VARIABLES)
        },
    }


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _code_digest() -> str:
    root = Path(cloche.__file__).parent
    files = [file for pattern in _CODE for file in sorted(root.glob(pattern))]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _cpu() -> list[str]:
    """Return the lines of Linux about the first core that say which instructions it has."""
    found = []
    with suppress(OSError), _CPU.open() as lines:
        for line in lines:
            if not line.strip():
                break
            if line.partition("\t")[0].partition(":")[0].strip() in _CPU_FACTS:
                found.append(line.strip())
    return found
