"""Writes tables to files, in the format that the file's name implies."""

from pathlib import Path

import pandas as pd

from cloche.training.dataset.reading.files import is_parquet
from cloche.training.errors import DataError


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write a table to a `.csv`, `.csv.gz` or `.parquet` file, replacing an existing file.

    Raises:
        DataError: The file's name has no known suffix, or the file cannot be written.
    """
    try:
        if is_parquet(path):
            frame.to_parquet(path, index=False)
        elif path.name.lower().endswith((".csv", ".csv.gz")):
            frame.to_csv(path, index=False)
        else:
            problem = "name the file .csv, .csv.gz or .parquet, so that its format is known"
            raise DataError(str(path), [problem])
    except OSError as error:
        raise DataError(str(path), [f"cannot be written: {error.strerror or error}"]) from None
