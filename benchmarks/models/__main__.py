"""`python -m benchmarks.models MODEL [DATA]`: trains a model into the working directory.

Training is a separate process, so that its memory is freed before the measurements.
"""

import json
import subprocess
import sys
from pathlib import Path

import mlflow

from benchmarks.models import shipped, synthetic


def main(name: str, source: Path | None) -> None:
    """Train and register a model, set its alias, and write `row.json` and `registered.json`.

    Args:
        name: The name of the model in the benchmarks' catalog.
        source: The data of a shipped recipe; None for the recipe's own.
    """
    if name in synthetic.MAKERS:
        registered, row = name, synthetic.register(name, Path.cwd())
        # Training makes a twin for shipped recipes; without a proven twin, the version has none.
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
    Path("registered.json").write_text(json.dumps(registered))  # last: it marks completion


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]) if len(sys.argv) > 2 else None)
