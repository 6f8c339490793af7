"""The stored form of a twin: the ONNX file, and the document on how to answer from it.

This module does not import the packages that make a twin, because they are an extra and every
training imports this module.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloche.training.acceleration.proof.equivalence import Proof

FOLDER = "onnx"
GRAPH_FILE = "model.onnx"
DOCUMENT_FILE = "twin.json"
FORMAT = 1
SCORES = "cloche_scores"  # name of the graph's output


@dataclass(frozen=True)
class ProvenTwin:
    """A proven twin."""

    graph: bytes
    document: dict[str, Any]
    proof: Proof

    @property
    def text(self) -> str:
        """The text of `twin.json`."""
        return json.dumps(self.document, indent=1, ensure_ascii=False) + "\n"

    @property
    def digest(self) -> str:
        """SHA-256 of `twin.json`, hexadecimal; the document contains the graph's digest."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def write(self, folder: Path) -> None:
        """Write both files into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / GRAPH_FILE).write_bytes(self.graph)
        (folder / DOCUMENT_FILE).write_bytes(self.text.encode())
