"""The twin as it is stored: the ONNX file, and what a reader must know to answer from it."""

import hashlib
import json
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from training.acceleration.families import adds_in_order, leaves
from training.acceleration.original import Original
from training.acceleration.proof import TOLERANCE, Proof
from training.pipeline.providers import providers

FOLDER = "onnx"
GRAPH_FILE = "model.onnx"
DOCUMENT_FILE = "twin.json"
FORMAT = 1
SCORES = "cloche_scores"  # the graph's output
_PACKAGES = ("numpy", "onnxruntime", "scikit-learn", "skl2onnx")


@dataclass(frozen=True)
class Twin:
    """A proven twin.

    Attributes:
        graph: the ONNX file.
        document: the content of `twin.json`.
        proof: what was compared.
    """

    graph: bytes
    document: dict[str, Any]
    proof: Proof

    @property
    def text(self) -> str:
        """`twin.json` as it is written."""
        return json.dumps(self.document, indent=1, ensure_ascii=False) + "\n"

    @property
    def digest(self) -> str:
        """SHA-256 of `twin.json`, which names that of the graph; hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def write(self, folder: Path) -> None:
        """Write both files into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / GRAPH_FILE).write_bytes(self.graph)
        (folder / DOCUMENT_FILE).write_bytes(self.text.encode())


def make_twin(original: Original, graph: bytes, taken: set[str], proof: Proof) -> Twin:
    """Describe a proven graph.

    Args:
        original: what it is equal to.
        graph: the ONNX file.
        taken: names of its inputs.
        proof: that they are equal.
    """
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
    return Twin(graph, document, proof)


def _packages(original: Original) -> set[str]:
    """Whose versions the proof was made with."""
    *_, last = leaves(original.pipeline)
    package = type(last).__module__.partition(".")[0]
    return {*_PACKAGES, *providers().get(package, ())}
