"""The twin as it is stored: the ONNX file, and what a reader must know to answer from it.

It imports without the packages that make one, which are an extra: whoever trains imports it.
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
SCORES = "cloche_scores"  # the graph's output


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
