"""Describes a proven graph for `twin.json`: how to answer from it, and the result of its proof."""

import hashlib
from dataclasses import asdict
from importlib.metadata import version

from cloche.training.acceleration.conversion.supported_estimators import adds_in_order, leaves
from cloche.training.acceleration.original_model import OriginalModel
from cloche.training.acceleration.proof.equivalence import TOLERANCE, Proof
from cloche.training.acceleration.proof.stored_twin import FORMAT, SCORES, ProvenTwin
from cloche.training.pipeline.module_packages import packages_by_module

_PACKAGES = ("numpy", "onnxruntime", "scikit-learn", "skl2onnx")


def make_twin(original: OriginalModel, graph: bytes, taken: set[str], proof: Proof) -> ProvenTwin:
    """Describe a proven graph."""
    document = {
        "format": FORMAT,
        "sha256": hashlib.sha256(graph).hexdigest(),
        "inputs": [
            {"name": i.column, "column": i.column, "tensor": i.tensor, "missing": i.missing}
            for i in original.inputs
            if i.column in taken
        ],
        "scores": {
            "output": SCORES,
            "kind": "probabilities" if original.classes else "values",
        },
        "classes": list(original.classes),
        "positive": original.positive,
        "threshold": original.threshold,
        "answer": dict(original.answer),
        "threads": 1 if adds_in_order(original.pipeline) else None,
        "tolerance": TOLERANCE,
        "proof": {
            **asdict(proof),
            "versions": {name: version(name) for name in sorted(_packages(original))},
        },
    }
    return ProvenTwin(graph, document, proof)


def _packages(original: OriginalModel) -> set[str]:
    """Return the names of the packages whose versions are recorded with the proof."""
    *_, last = leaves(original.pipeline)
    return {*_PACKAGES, *packages_by_module(type(last).__module__)}
