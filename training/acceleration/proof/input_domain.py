"""The domain of a twin: the values for which its graph answers; others it declines with NaN.

scikit-learn refuses some values with an error (a missing one, an infinity, a category that was not
in the training data), and a proof is worth little for values far from all training data. For such
values the graph answers NaN, and serving uses the original model.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import pandas as pd
from onnx import TensorProto, helper, numpy_helper, version_converter

from cloche.training.acceleration.conversion.supported_estimators import leaves
from cloche.training.acceleration.original_model import Input, OriginalModel
from cloche.training.acceleration.proof.stored_twin import SCORES

FACTOR = 1024.0  # limit of the domain, as a multiple of the largest magnitude of the real rows

_EQUAL_OF_TEXT = 19  # the ONNX operator set from which Equal takes text
_PLAIN = r"[ -~\t\n\r]*"  # printable ASCII, for which RE2 and Python find the same words
_SINGLE_MAX = float(np.finfo(np.float32).max)
_DOUBLE_MAX = float(np.finfo(np.float64).max)


@dataclass(frozen=True)
class Domain:
    """The values for which a graph answers.

    Attributes:
        missing: Columns in which a number may be missing.
        limits: Column of numbers → the largest magnitude.
        known: Column → the only values allowed, if the original refuses all others.
        plain: Columns whose text must be printable ASCII.
    """

    missing: frozenset[str]
    limits: dict[str, float]
    known: dict[str, tuple[Any, ...]]
    plain: frozenset[str]


def find_domain(original: OriginalModel, rows: pd.DataFrame, *, factor: float) -> Domain:
    """Find the domain by trying values on the original.

    Args:
        original: The original; it answers or raises.
        rows: A few rows that the original answers.
        factor: Multiple of the largest magnitude in `rows` up to which the twin may answer;
            infinite for a model that only compares.
    """
    numbers = [one.column for one in original.inputs if one.tensor == "double"]
    base = rows.head(1)

    def takes(values: dict[str, float]) -> bool:
        try:
            return bool(np.isfinite(original.answers(base.assign(**values))[0]).all())
        except Exception:  # noqa: BLE001 (after any error there is no answer)
            return False

    def taken(value: float) -> set[str]:
        """Return the columns in which the original accepts a value and its negative."""
        if all(takes(dict.fromkeys(numbers, sign * value)) for sign in (1.0, -1.0)):
            return set(numbers)
        return {
            name for name in numbers if all(takes({name: sign * value}) for sign in (1.0, -1.0))
        }

    limits = {}
    for name in numbers:
        seen = np.abs(rows[name].to_numpy(dtype=np.float64, na_value=0.0)).max(initial=1.0)
        limits[name] = float(seen) * min(factor, FACTOR)
    for bound in (_SINGLE_MAX, _DOUBLE_MAX, np.inf) if np.isinf(factor) else ():
        limits |= dict.fromkeys(taken(bound), bound)
    missing = frozenset(taken(np.nan))
    return Domain(
        missing,
        limits,
        known=_known_categories(original),
        plain=frozenset(_words(original.pipeline)),
    )


def reasons_outside(domain: Domain, inputs: Sequence[Input], rows: pd.DataFrame) -> list[str]:
    """Return a clause for each reason that puts rows outside the domain, with their number."""
    return [
        f"{one.column} {why} (in {int(where.sum()):,} of {len(rows):,} rows)"
        for one in inputs
        for where, why in _column_reasons(domain, one, rows[one.column])
        if where.any()
    ]


def _column_reasons(
    domain: Domain, one: Input, values: pd.Series
) -> Iterator[tuple[pd.Series, str]]:
    """Yield each reason why a column's values may be outside, with the mask of those rows."""
    absent = values.isna()
    if one.tensor == "double":
        if one.column not in domain.missing:
            yield (
                absent,
                "is missing, and the model takes no missing number; fill it, or impute it in the "
                "pipeline",
            )
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
        beyond = np.abs(numbers) > domain.limits.get(one.column, np.inf)
        yield pd.Series(beyond, values.index), "is far from all that the model was tried on"
        return
    text = values.astype("str")
    if one.missing is None:
        yield absent, "is missing, and stands for nothing that the model knows; fill it"
    if one.column in domain.plain:
        yield (
            ~absent & ~text.str.fullmatch(_PLAIN),
            "has characters beyond printable ASCII, which ONNX splits into words in another way; "
            "leave them to the original (acceleration: off saves the attempt)",
        )
    if known := domain.known.get(one.column):
        yield (
            ~absent & ~text.isin(list(map(str, known))),
            "holds a category that the model never saw; give its encoder handle_unknown='ignore', "
            "or train on such rows",
        )


def _known_categories(original: OriginalModel) -> dict[str, tuple[Any, ...]]:
    """Return the categories of encoders that refuse any other category."""
    found: dict[str, tuple[Any, ...]] = {}
    for columns, transformer in _columns(original):
        if getattr(transformer, "handle_unknown", "") == "error":
            found.update(zip(columns, map(tuple, transformer.categories_), strict=False))
    return found


def _columns(original: OriginalModel) -> Iterator[tuple[list[str], Any]]:
    """Yield column names with the transformer that receives them first."""
    first = original.pipeline
    if hasattr(first, "steps"):
        first = first.steps[0][1]
    names = [one.column for one in original.inputs]
    for _, transformer, columns in getattr(first, "transformers_", [("", first, names)]):
        chosen = [columns] if isinstance(columns, str) else list(columns)
        start = next(leaves(transformer), None)
        yield [names[c] if isinstance(c, int) else str(c) for c in chosen], start


def _words(estimator: Any) -> Iterator[str]:
    first = estimator.steps[0][1] if hasattr(estimator, "steps") else estimator
    for _, transformer, columns in getattr(first, "transformers_", ()):
        if any(hasattr(one, "token_pattern") for one in leaves(transformer)):
            yield from [columns] if isinstance(columns, str) else columns


def enclose(model: onnx.ModelProto, domain: Domain) -> onnx.ModelProto:
    """Return the graph extended by its domain; its only output is `SCORES`.

    Every value outside the domain adds NaN to its row's scores; other rows stay unchanged.
    """
    enclosed = onnx.ModelProto()
    enclosed.CopyFrom(_comparing_text(model) if domain.known else model)
    graph = enclosed.graph
    node = _writer(graph)
    raw = graph.output[0].name
    total = node("Cast", [raw], to=TensorProto.DOUBLE)
    for part in _outside(graph, node, domain):
        total = node("Add", [total, part])
    node("Identity", [total], output=SCORES)
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(SCORES, TensorProto.DOUBLE, None))
    return enclosed


def _comparing_text(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same with operators that compare text: skl2onnx takes the oldest set that it needs."""
    (found,) = (one.version for one in model.opset_import if one.domain in {"", "ai.onnx"})
    newer = found >= _EQUAL_OF_TEXT
    return model if newer else version_converter.convert_version(model, _EQUAL_OF_TEXT)


def _outside(graph: onnx.GraphProto, node: Callable[..., str], domain: Domain) -> Iterator[str]:
    """Yield the names of (rows, 1) tensors that are zero inside the domain and NaN outside."""
    taken = {one.name for one in graph.input}
    zero, nan, one = (_constant(graph, value) for value in (0.0, np.nan, [1]))
    inside: str
    bounded = [
        name
        for name, limit in domain.limits.items()
        if name in taken and not (np.isinf(limit) and name in domain.missing)
    ]
    if bounded:
        values = node("Concat", bounded, axis=1)
        limits = _constant(graph, [[domain.limits[name] for name in bounded]])
        inside = node("LessOrEqual", [node("Abs", [values]), limits])
        if not domain.missing.isdisjoint(bounded):
            allowed = _constant(graph, [[name in domain.missing for name in bounded]])
            inside = node("Or", [inside, node("And", [node("IsNaN", [values]), allowed])])
        penalties = node("Where", [inside, zero, nan])
        yield node("ReduceSum", [penalties, one], keepdims=1)
    for name in sorted(domain.plain & taken):
        inside = node("RegexFullMatch", [name], pattern=_PLAIN)
        yield node("Where", [inside, zero, nan])
    for name, known in sorted(domain.known.items()):
        if name in taken:
            same = node("Equal", [name, _constant(graph, _keys(known)[None, :])])
            most = node("ReduceMax", [node("Cast", [same], to=TensorProto.INT64), one], keepdims=1)
            yield node("Where", [node("Cast", [most], to=TensorProto.BOOL), zero, nan])


def _keys(values: Sequence[Any]) -> Any:
    """Return categories as the graph compares them: as text, or as integers."""
    if any(isinstance(value, str) for value in values):
        return np.array(list(map(str, values)), dtype=object)
    return np.array([int(value) for value in values], dtype=np.int64)


def _writer(graph: onnx.GraphProto) -> Callable[..., str]:
    def node(kind: str, inputs: list[str], *, output: str = "", **attributes: Any) -> str:
        name = output or f"cloche_{kind.lower()}_{len(graph.node)}"
        graph.node.append(helper.make_node(kind, inputs, [name], name=f"n_{name}", **attributes))
        return name

    return node


def _constant(graph: onnx.GraphProto, value: Any) -> str:
    name = f"cloche_constant_{len(graph.initializer)}"
    graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return name
