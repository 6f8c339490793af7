"""Finds files by path, glob or directory, in a fixed order."""

import glob
from pathlib import Path

from cloche.training.errors import DataError
from cloche.training.recipe.suggestions import suggestion

CSV_SUFFIXES = (".csv", ".csv.gz", ".csv.zip", ".csv.bz2", ".csv.xz", ".tsv", ".txt")
PARQUET_SUFFIXES = (".parquet", ".pq")

_MAGIC = set("*?[")


def find_files(source: str) -> list[Path]:
    """Return the sorted files of a path, a glob (`**` includes subfolders) or a directory.

    A directory stands for all tables in it and its subfolders. Names that begin with `.` or `_` are
    skipped, because other programs use them for internal files.

    Raises:
        DataError: There are no such files.
    """
    try:
        path = Path(source).expanduser()
        if path.is_file():
            return [path]
        if path.is_dir():
            return _in_directory(source, path)
    except (OSError, RuntimeError) as error:  # the name is too long, or the user unknown
        raise DataError(source, [f"cannot be looked for: {error}"]) from None
    if _MAGIC & set(source):
        matches = sorted(Path(name) for name in glob.glob(str(path), recursive=True))  # noqa: PTH207
        found = [match for match in matches if match.is_file()]
        if not found:
            raise DataError(source, [f"no file matches, seen from {Path.cwd()}"])
        return found
    raise DataError(source, [_absent(path)])


def is_parquet(path: Path) -> bool:
    """Return whether a file is named like a Parquet file."""
    return path.name.lower().endswith(PARQUET_SUFFIXES)


def _in_directory(source: str, directory: Path) -> list[Path]:
    files = sorted(
        file
        for file in directory.rglob("*")
        if file.is_file()
        and file.name.lower().endswith(CSV_SUFFIXES + PARQUET_SUFFIXES)
        and not any(part.startswith((".", "_")) for part in file.relative_to(directory).parts)
    )
    if not files:
        raise DataError(source, ["the directory holds no CSV or Parquet files"])
    if len({is_parquet(file) for file in files}) > 1:
        raise DataError(
            source, ["the directory holds CSV and Parquet files; name one kind, like data/*.csv"]
        )
    return files


def _absent(path: Path) -> str:
    message = f"no such file, seen from {Path.cwd()}"
    if not path.parent.is_dir():
        return f"{message}; there is no directory {path.parent} either"
    hint = suggestion(path.name, [file.name for file in path.parent.iterdir()])
    return f"{message}; {hint}" if hint.startswith("did you mean") else message
