"""The proof: compares twin and original on the same rows, by the rules that serving follows.

Serving uses a twin's scores only if all of them are finite, and its label only if no other label
lies within twice the tolerance; otherwise the original answers that request. So on every row a twin
must either decline, or give scores within the tolerance and, where its label is certain, the label
that the original gives.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cloche.training.acceleration.original_model import Answers, Floats, OriginalModel
from cloche.training.errors import TwinRefused

TOLERANCE = 1e-6  # absolute for probabilities; for values relative to their size if it is above 1
PROOF_TOLERANCE = TOLERANCE / 4  # limit in the proof; the rest is a reserve for untested rows
_CHUNK = 5_000  # rows between two checks of the time limit
_MOST_LEFT = 0.5  # a twin that leaves a larger share of the real rows to the original is useless


@dataclass(frozen=True)
class Proof:
    """The result of a comparison of twin and original.

    Attributes:
        rows: Number of real rows.
        adversarial_rows: Number of adversarial rows.
        largest_difference: Largest difference between scores, measured as the tolerance is.
        undecided_rows: Number of real rows that score so near another label that serving uses the
            original.
        outside_rows: Number of real rows that the twin declines.
    """

    rows: int = 0
    adversarial_rows: int = 0
    largest_difference: float = 0.0
    undecided_rows: int = 0
    outside_rows: int = 0

    def combine(self, other: "Proof") -> "Proof":
        """Return the result for the rows of both comparisons."""
        return Proof(
            self.rows + other.rows,
            self.adversarial_rows + other.adversarial_rows,
            largest_difference=max(self.largest_difference, other.largest_difference),
            undecided_rows=self.undecided_rows + other.undecided_rows,
            outside_rows=self.outside_rows + other.outside_rows,
        )


def prove(
    original: OriginalModel,
    twin: Callable[[pd.DataFrame], Floats],
    real: pd.DataFrame,
    adversarial: Iterable[pd.DataFrame],
    *,
    check: Callable[[], None],
    reasons: Callable[[pd.DataFrame], Sequence[str]] = lambda _: (),
) -> Proof:
    """Compare twin and original on all rows.

    Args:
        original: The original; it answers or raises.
        twin: Function from raw rows to scores, NaN for rows that the twin declines.
        real: Rows of the holdout.
        adversarial: Tables of adversarial rows.
        check: Called before each comparison; raises when the time limit is reached.
        reasons: Function from real rows to the reasons why the twin declines some of them, one
            clause for each column.

    Raises:
        TwinRefused: Twin and original disagree, or the twin declines most of the real rows.
    """
    chunks = (real.iloc[start : start + _CHUNK] for start in range(0, len(real), _CHUNK))
    on_real = _compare_all(original, twin, chunks, check)
    left = (on_real.undecided_rows + on_real.outside_rows) / max(on_real.rows, 1)
    if left > _MOST_LEFT:
        why = list(reasons(real))
        if on_real.undecided_rows:
            why.append(f"{on_real.undecided_rows:,} rows score so near two labels that it is asked")
        found = f": {'; '.join(why)}" if why else ""
        raise TwinRefused(f"it would leave {left:.0%} of the holdout's rows to the original{found}")
    _check_single_rows(twin, real.head(20))
    on_adversarial = _compare_all(original, twin, adversarial, check)
    return replace(
        on_real,
        adversarial_rows=on_adversarial.rows,
        largest_difference=max(on_real.largest_difference, on_adversarial.largest_difference),
    )


def _compare_all(
    original: OriginalModel, twin: Callable[[pd.DataFrame], Floats],
    tables: Iterable[pd.DataFrame], check: Callable[[], None],
) -> Proof:  # fmt: skip
    proof = Proof()
    for table in tables:
        check()
        proof = proof.combine(compare(original, twin, table))
    return proof


def _check_single_rows(twin: Callable[[pd.DataFrame], Floats], rows: pd.DataFrame) -> None:
    """Refuse a twin that scores a row alone, where onnxruntime runs other code, otherwise."""
    alone = np.concatenate([twin(rows.iloc[[at]]) for at in range(len(rows))])
    if not np.allclose(
        alone, twin(rows), rtol=PROOF_TOLERANCE, atol=PROOF_TOLERANCE, equal_nan=True
    ):
        raise TwinRefused("one row alone scores otherwise than among others")


def compare(
    original: OriginalModel, twin: Callable[[pd.DataFrame], Floats], rows: pd.DataFrame
) -> Proof:
    """Compare twin and original on (n rows) raw rows.

    Raises:
        TwinRefused: They disagree on a row, which the message describes.
    """
    rows = rows.reset_index(drop=True)
    scores = twin(rows)
    inside = np.isfinite(_as_two_axes(scores)).all(axis=1)
    outside = int((~inside).sum())
    if outside == len(rows):
        return Proof(rows=len(rows), outside_rows=outside)
    rows, scores = rows[inside].reset_index(drop=True), scores[inside]
    expected, labels = _answers(original, rows)
    answered = np.isfinite(_as_two_axes(expected)).all(axis=1)
    _refuse_where(~answered, rows, "the original gives no answer, and the twin does")
    differences = _as_two_axes(np.abs(scores - expected))
    if not original.classes:
        differences = differences / np.maximum(1.0, _as_two_axes(np.abs(expected)))
    largest = float(differences.max())
    _refuse_where(
        differences.max(axis=1) > PROOF_TOLERANCE,
        rows,
        f"scores differ by up to {largest:.2g}, and {PROOF_TOLERANCE:.2g} is tolerated",
    )
    sure = is_label_certain(original, scores)
    if labels is not None:
        twin_labels = np.asarray(original.classes, dtype=object)[label_positions(original, scores)]
        wrong = np.array([a != b for a, b in zip(twin_labels, labels, strict=True)], dtype=bool)
        _refuse_where(sure & wrong, rows, "labels differ")
    return Proof(
        rows=outside + len(rows),
        largest_difference=largest,
        undecided_rows=int((~sure).sum()),
        outside_rows=outside,
    )


def is_label_certain(original: OriginalModel, scores: Floats) -> npt.NDArray[np.bool_]:
    """Return for which rows the label is more than twice the tolerance away from another one."""
    if not original.classes:
        return np.isfinite(scores)
    if original.positive is not None and original.threshold is not None:
        distance = np.abs(scores[:, original.positive] - original.threshold)
    else:
        best = np.sort(scores, axis=1)
        distance = best[:, -1] - best[:, -2]
    return np.asarray(distance > 2 * TOLERANCE)


def label_positions(original: OriginalModel, scores: Floats) -> npt.NDArray[np.int64]:
    """Return the index of each row's label."""
    if original.positive is None or original.threshold is None:
        return np.asarray(np.nan_to_num(scores, nan=-1.0).argmax(axis=1))
    over = scores[:, original.positive] >= original.threshold
    return np.where(over, original.positive, 1 - original.positive)


def _answers(original: OriginalModel, rows: pd.DataFrame) -> Answers:
    """Return scores and labels of the original; NaN and None for rows on which it raises."""
    parts = list(_answer_by_halves(original, rows))
    width = (len(original.classes),) if original.classes else ()
    scores = [np.full((n, *width), np.nan) if found is None else found[0] for found, n in parts]
    labels = [
        np.full(n, None) if found is None or found[1] is None else found[1].astype(object)
        for found, n in parts
    ]
    return np.concatenate(scores), np.concatenate(labels) if original.classes else None


def _answer_by_halves(
    original: OriginalModel, rows: pd.DataFrame
) -> Iterator[tuple[Answers | None, int]]:
    """Yield answers for consecutive rows, with their number; None for a single row that raises."""
    try:
        with np.errstate(all="ignore"):
            found = original.answers(rows)
    except Exception:  # noqa: BLE001 (after any error there is no answer)
        found = None
    if found is not None or len(rows) == 1:
        yield found, len(rows)
        return
    middle = len(rows) // 2
    yield from _answer_by_halves(original, rows.iloc[:middle])
    yield from _answer_by_halves(original, rows.iloc[middle:])


def _as_two_axes(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return values if values.ndim == 2 else values[:, None]


def _refuse_where(wrong: npt.NDArray[np.bool_], rows: pd.DataFrame, what: str) -> None:
    if not wrong.any():
        return
    at = int(np.flatnonzero(wrong)[0])
    raise TwinRefused(f"{what} (on {int(wrong.sum())} of {len(rows)} rows, the first: {at})")
