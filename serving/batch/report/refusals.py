"""Messages about refused rows: reasons, row numbers, the file that holds them, and advice."""

import json
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from mlflow.models import Model

from cloche.serving.batch.input import csv_advice
from cloche.serving.batch.input.csv_options import CsvOptions
from cloche.serving.batch.input.inputs import Inputs
from cloche.serving.batch.input.readers.casting import scalar_types
from cloche.serving.batch.job.part import FinishedPart
from cloche.serving.batch.job.pinned_job import Job
from cloche.serving.batch.output import merge_parts
from cloche.serving.errors import JobFailed
from cloche.values.redaction import redact

_LOOKED_AT = 100  # refused rows that the advice is made from
_MOST_REASONS = 5
_MOST_ROWS = 5


def explain(
    job: Job, inputs: Inputs, parts: Iterable[FinishedPart], directory: Path, kept: Path
) -> str:
    """Return why rows were refused, which rows, and what to type.

    Raises:
        JobFailed: The file cannot be written.
    """
    ordered = sorted(parts, key=lambda part: part.index)
    # row numbers are known only for parts whose predecessors are all finished
    whole = [part for at, part in enumerate(ordered) if part.index == at]
    try:
        with kept.open("wb") as file:
            file.writelines(merge_parts.quarantine(whole, directory))
        with kept.open(encoding="utf-8") as lines:
            first = [json.loads(line) for line in islice(lines, _LOOKED_AT)]
    except OSError as error:
        raise JobFailed(f"{kept}: cannot be written: {error.strerror}") from error
    reasons = _reasons(ordered)
    texts = []
    for reason, count in reasons.most_common(_MOST_REASONS):
        rows = [row for row in first if row["reason"].startswith(reason)]
        numbers = ", ".join(str(row["row"]) for row in rows[:_MOST_ROWS])
        detail = redact(rows[0]["reason"], rows[0]["input"]) if rows else reason
        texts.append(f"{count:,} times {detail}" + (f" (row {numbers})" if rows else ""))
    if len(reasons) > _MOST_REASONS:
        texts.append(f"and {len(reasons) - _MOST_REASONS} other reasons")
    fix = _fix(job, inputs, first)
    fix = fix or "Mend them, or leave them out, and score again with --overwrite."
    path = shlex.quote(str(kept.absolute()))
    return f"{'; '.join(texts)}. They are kept with their reasons: `head {path}` shows them. {fix}"


def of_most(job: Job, inputs: Inputs, parts: Sequence[FinishedPart], directory: Path) -> str:
    """Return how to read the refused rows of a job if most have the same reason; else empty."""
    reasons = _reasons(parts)
    for reason, count in reasons.most_common(1):
        if 2 * count >= reasons.total():
            lines = islice(merge_parts.quarantine(parts, directory), _LOOKED_AT)
            rows = [row for row in map(json.loads, lines) if row["reason"].startswith(reason)]
            fix = _fix(job, inputs, rows)
            if any(way in fix for way in ("--options", "iconv")):  # other advice was followed
                return f"If the whole input is like them: {fix}"
    return ""


def _reasons(parts: Iterable[FinishedPart]) -> Counter[str]:
    reasons = Counter[str]()
    for part in parts:
        reasons.update(part.reasons)
    return reasons


def _fix(job: Job, inputs: Inputs, refused: Sequence[Mapping[str, Any]]) -> str:
    if not inputs.takes_options:
        return csv_advice.for_lines(refused, list(inputs.fingerprints))
    types = scalar_types(Model.load(job.model.path).get_input_schema())
    return csv_advice.for_rows(refused, types, CsvOptions(job.csv_options))
