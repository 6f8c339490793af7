"""What a job that fails for its refused rows says: reasons, rows, where they are kept, the fix."""

import json
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from mlflow.models import Model

from cloche.redaction import without_values
from cloche.serving.batch import advice, assembly
from cloche.serving.batch.job import Job
from cloche.serving.batch.part import FinishedPart
from cloche.serving.batch.readers.casting import scalar_types
from cloche.serving.batch.reading import Reading
from cloche.serving.batch.supply import Supply
from cloche.serving.errors import JobFailed

_LOOKED_AT = 100  # refused rows that the advice is made from
_MOST_REASONS = 5
_MOST_ROWS = 5


def explain(
    job: Job, supply: Supply, parts: Iterable[FinishedPart], directory: Path, kept: Path
) -> str:
    """Why rows were refused, which ones, and what to type.

    Args:
        job: The job.
        supply: Its input.
        parts: Those that are finished.
        directory: Where their files are.
        kept: The file to which all their refused rows are written.

    Raises:
        JobFailed: It cannot be written.
    """
    ordered = sorted(parts, key=lambda part: part.index)
    # rows are counted through the input, as far as all of it before them was read
    whole = [part for at, part in enumerate(ordered) if part.index == at]
    try:
        with kept.open("wb") as file:
            file.writelines(assembly.quarantine(whole, directory))
        with kept.open(encoding="utf-8") as lines:
            first = [json.loads(line) for line in islice(lines, _LOOKED_AT)]
    except OSError as error:
        raise JobFailed(f"{kept}: cannot be written: {error.strerror}") from error
    reasons = Counter[str]()
    for part in ordered:
        reasons.update(part.reasons)
    said = []
    for reason, count in reasons.most_common(_MOST_REASONS):
        rows = [row for row in first if row["reason"].startswith(reason)]
        numbers = ", ".join(str(row["row"]) for row in rows[:_MOST_ROWS])
        detail = without_values(rows[0]["reason"], rows[0]["input"]) if rows else reason
        said.append(f"{count:,} times {detail}" + (f" (row {numbers})" if rows else ""))
    if len(reasons) > _MOST_REASONS:
        said.append(f"and {len(reasons) - _MOST_REASONS} other reasons")
    fix = ""
    if supply.is_csv:
        types = scalar_types(Model.load(job.model.path).get_input_schema())
        fix = advice.for_rows(first, types, Reading(job.reading))
    fix = fix or "Mend them, or leave them out, and score again with --overwrite."
    return f"{'; '.join(said)}. They are kept in {kept}. {fix}"
