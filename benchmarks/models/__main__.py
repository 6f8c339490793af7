"""`python -m benchmarks.models MODEL [DATA]`: train one into the working directory.

A process of its own, so that the measurements run beside nothing that training left in memory.
"""

import json
import subprocess
import sys
from pathlib import Path

import mlflow

from benchmarks.models import shipped, synthetic


def main(name: str, source: Path | None) -> None:
    """Train, register, move the alias, and write down what was made."""
    if name in synthetic.MAKERS:
        registered, row = name, synthetic.register(name, Path.cwd())
        # What the shipped recipes get in training; a refusal would leave the version as it is.
        subprocess.run(
            [
                *(sys.executable, "-m", "cloche", "accelerate", name),
                *("--version", "1", "--data", str(synthetic.ROWS)),
            ],
            check=True,
        )
    else:
        registered, row = shipped.register(name, source)
    mlflow.MlflowClient().set_registered_model_alias(registered, "production", "1")
    row.write(Path("row.json"))
    Path("registered.json").write_text(json.dumps(registered))  # last: it says that all is there


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]) if len(sys.argv) > 2 else None)
