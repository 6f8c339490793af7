"""`python -m benchmarks.isolation`: the cost of one row that kills the worker of a batch job.

A table of 20,000 rows is scored without such a row and with one; the result is the ratio of both.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from mlflow.pyfunc.model import PythonModel

_ROWS = 20_000
_DEADLY = 13.0


class _Deadly(PythonModel):
    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:  # noqa: ARG002
        if (model_input["a"] == _DEADLY).any():
            os._exit(9)
        return model_input["a"] * 2


def main() -> None:
    """Measure, and print the result."""
    with tempfile.TemporaryDirectory(prefix="cloche-") as name:
        folder = Path(name)
        rows = pd.DataFrame({"a": np.random.default_rng(0).normal(size=_ROWS), "b": range(_ROWS)})
        signature = infer_signature(rows, rows["a"])
        model = str(folder / "model")
        mlflow.pyfunc.save_model(
            model, python_model=_Deadly(), signature=signature, pip_requirements=["mlflow"]
        )
        rows.to_csv(folder / "good.csv", index=False)
        rows.loc[13_579, "a"] = _DEADLY
        rows.to_csv(folder / "deadly.csv", index=False)
        good, deadly = (_seconds(model, folder / f"{one}.csv") for one in ("good", "deadly"))
        print(f"without: {good:.1f} s, with: {deadly:.1f} s, ratio: {deadly / good:.2f}")


def _seconds(model: str, source: Path) -> float:
    output = source.with_suffix(".parquet")
    command = [sys.executable, "-m", "cloche", "score", model, str(source), str(output)]
    started = time.monotonic()
    subprocess.run([*command, "--no-track"], check=False, capture_output=True)  # exit code 4
    return time.monotonic() - started


if __name__ == "__main__":
    main()
