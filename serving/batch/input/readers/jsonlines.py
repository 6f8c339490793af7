"""Reads parts of JSON lines files: one object per line, typed as MLflow types request records."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from mlflow.exceptions import MlflowException
from mlflow.utils.proto_json_utils import (
    cast_df_types_according_to_schema,
    dataframe_from_parsed_json,
)

from cloche.serving.batch.input.bisection import bisect_failures
from cloche.serving.batch.input.readers.casting import cast
from cloche.serving.batch.input.readers.reader import Reader, ReaderSettings
from cloche.serving.batch.input.readers.rows import NOT_UTF8, UNFIT, Rows, attach
from cloche.serving.batch.job.part import Part
from cloche.serving.errors import JobFailed
from cloche.serving.host.answers.error_answers import InvalidCell
from cloche.serving.host.parsing.missing_values import MissingValueGuard

MOST_NESTED = 256  # a depth that every library on the way to the model and back supports
_MARKS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]')


class JsonLinesReader(Reader):
    """Reads parts of JSON lines files."""

    def __init__(self, settings: ReaderSettings) -> None:
        self._model_columns = settings.model_columns
        self._carried = settings.carried
        self._types = settings.types
        self._schema = settings.schema
        self._guard = MissingValueGuard(settings.schema)

    def read(self, part: Part) -> Rows:
        """See `Reader.read`."""
        lines = _lines(part)
        objects: list[dict[str, Any]] = []
        offsets: list[int] = []
        refused: dict[int, str] = {}
        for offset, line in enumerate(lines):
            value = parsed(line)
            if isinstance(value, dict):
                objects.append(value)
                offsets.append(offset)
            elif nesting(line) > MOST_NESTED:
                refused[offset] = f"the row is nested more than {MOST_NESTED} deep"
            else:
                refused[offset] = "the row is not a JSON object" if _is_utf8(line) else NOT_UTF8
        places = np.array(offsets, np.int64)
        pieces, failed = bisect_failures(
            lambda a, b: self._frame(objects[a:b], part.types), len(objects), _reason
        )
        refused |= {int(places[at]): reason for at, reason in failed.items()}
        kept = [at for at in range(len(objects)) if at not in failed]
        frames = [frame for _, _, frame in pieces]
        frame = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
        attach(frame, part.constants)
        inputs, bad = cast(frame, self._types)
        refused |= {int(places[kept[at]]): reason for at, reason in bad.items()}
        rows = [objects[kept[at]] for at in inputs.index]
        carried = {name: self._column(name, inputs, rows, part) for name in self._carried}
        return Rows(
            inputs.reset_index(drop=True), pa.table(carried),
            places[kept][inputs.index.to_numpy(np.int64)], len(lines),
            lambda wanted: [_as_given(lines[at]) for at in wanted], refused,
        )  # fmt: skip

    def _frame(self, objects: list[dict[str, Any]], found: Mapping[str, str]) -> pd.DataFrame:
        if self._model_columns is None:  # columns get the types inferred from the whole file
            wanted = [dict(one) for one in objects]
            known = self._guard.prepare({"dataframe_records": wanted})
            whole = pd.DataFrame(wanted, columns=list(found), dtype=object)
            whole = whole.astype({name: kind for name, kind in found.items() if kind != "object"})
            if known is None:
                return whole
            typed: pd.DataFrame = cast_df_types_according_to_schema(whole, known)  # by position
            return typed
        names = self._model_columns
        wanted = [{name: one[name] for name in names if name in one} for one in objects]
        for name in self._required():
            if any(name not in one for one in wanted):
                raise ValueError(f"column {name!r} is missing")
        frame: pd.DataFrame = dataframe_from_parsed_json(
            wanted, "records", self._guard.prepare({"dataframe_records": wanted})
        )
        return frame

    def _required(self) -> list[str]:
        if self._schema is None or not self._schema.has_input_names():
            return []
        return [str(name) for name in self._schema.required_input_names()]

    def _column(
        self, name: str, inputs: pd.DataFrame, rows: list[dict[str, Any]], part: Part
    ) -> pa.Array:
        if name in inputs.columns and name in self._types:
            return pa.Array.from_pandas(inputs[name])
        default = part.constants.get(name)
        return _array([one.get(name, default) for one in rows])


def _lines(part: Part) -> list[bytes]:
    try:
        with Path(part.source).open("rb") as file:
            file.seek(part.start)
            content = file.read(part.stop - part.start)
    except OSError as error:
        raise JobFailed(f"{part.source}: cannot be read: {error}") from error
    if len(content) != part.stop - part.start:
        raise JobFailed(f"{part.source}: it is shorter than when the job began.")
    return [line for line in content.split(b"\n") if line.strip()]


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def parsed(line: bytes) -> Any:
    """Parse a line of JSON; None if it is invalid or nested too deeply."""
    try:
        return json.loads(line) if nesting(line) <= MOST_NESTED else None
    except ValueError:
        return None


def nesting(line: bytes) -> int:
    """Return the nesting depth of JSON, or an upper bound of it that `MOST_NESTED` allows.

    For few brackets the bound is their number, including those within strings.
    """
    most = line.count(b"[") + line.count(b"{")
    if most <= MOST_NESTED:
        return most
    depth = deepest = 0
    for mark in _MARKS.findall(line):  # matches whole strings, so their brackets are skipped
        depth += (mark in b"[{") - (mark in b"]}")
        deepest = max(deepest, depth)
    return deepest


def _array(values: list[Any]) -> pa.Array:
    """Return values of one simple type unchanged, and any other mix as JSON texts."""
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) <= 1 and kinds <= {bool, int, float, str}:
        try:
            return pa.array(values)
        except (pa.ArrowInvalid, OverflowError):
            pass  # integers of more than 64 bits
    texts = [
        one if one is None or isinstance(one, str) else json.dumps(one, ensure_ascii=False)
        for one in values
    ]
    return pa.array(texts, pa.string())


def _as_given(line: bytes) -> Any:
    value = parsed(line)
    return line.decode(errors="backslashreplace") if value is None else value


def _reason(error: Exception) -> str:
    if isinstance(error, InvalidCell):
        return error.reason
    if not isinstance(error, (MlflowException, ValueError, TypeError, OverflowError)):
        raise error
    if isinstance(error, ValueError) and str(error).startswith("column "):
        return str(error)
    return UNFIT
