"""Names that the registry holds for Cloche, and where this machine keeps what it fetched.

With MLflow itself, the names are the whole interface between training and serving.
"""

import os
from pathlib import Path

PRODUCTION = "production"
DIGEST_TAG = "cloche.digest"
ACCELERATED_TAG = "cloche.accelerated"
ACCELERATED_DIGEST_TAG = "cloche.accelerated_digest"
ONNX = "onnx"
GATE_TAG = "cloche.gate"
GATE_RUN_TAG = "cloche.gate_run_id"
PROMOTED_AT_TAG = "cloche.promoted_at"
PROMOTED_BY_TAG = "cloche.promoted_by"
REASON_TAG = "cloche.reason"
EVIDENCE = "evidence.json"  # the artifact of the run that GATE_RUN_TAG names


def default_cache() -> Path:
    """Where fetched versions are kept when nothing else is said."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "cloche"
