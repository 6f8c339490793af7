"""Reads the trees of LightGBM and XGBoost from the form in which these libraries store models.

Neither library is imported: a model that has been loaded has imported its own. The libraries load
models from the same form, so the thresholds and leaves are exactly the numbers that they use. A
model that uses a feature which this module does not know is refused.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import is_classifier

from cloche.training.acceleration.conversion.ensembles import Arithmetic, Ensemble, Tree
from cloche.training.errors import TwinRefused

LIGHTGBM = frozenset({"lightgbm.LGBMClassifier", "lightgbm.LGBMRegressor"})
XGBOOST = frozenset(
    f"xgboost.{name}"
    for name in ("XGBClassifier", "XGBRegressor", "XGBRFClassifier", "XGBRFRegressor")
)
BOOSTERS = LIGHTGBM | XGBOOST

# LightGBM replaces values of a dense row by 0 if they are not above this magnitude.
_ZERO = float(np.float32(1e-35))
_CATEGORICAL, _DEFAULT_LEFT, _MISSING_KIND = 1, 2, 12  # bits of LightGBM's decision_type
_ZERO_MISSING, _NAN_MISSING = 4, 8

_LIGHTGBM_LINKS = {
    "binary": "sigmoid",
    "multiclass": "softmax",
    "multiclassova": "sigmoids",
    "cross_entropy": "sigmoids",
    **dict.fromkeys(("poisson", "gamma", "tweedie"), "exp"),
    **dict.fromkeys(
        ("regression", "regression_l1", "huber", "fair", "quantile", "mape"), "identity"
    ),
}
_XGBOOST_LINKS = {
    "binary:logistic": "sigmoid",
    "multi:softprob": "softmax",
    "reg:logistic": "sigmoids",
    **dict.fromkeys(("count:poisson", "reg:gamma", "reg:tweedie"), "exp"),
    **dict.fromkeys(
        (
            "reg:squarederror",
            "reg:absoluteerror",
            "reg:pseudohubererror",
            "reg:quantileerror",
            "reg:squaredlogerror",
        ),
        "identity",
    ),
}
# LightGBM parameters that make predictions leave trees out.
_AT_PREDICTION = ("pred_early_stop", "start_iteration_predict", "num_iteration_predict")
_SIDES = ("left", "right")


def public_name(model: Any) -> str:
    """Return the top-level package and the class name, like `xgboost.XGBClassifier`."""
    return f"{type(model).__module__.partition('.')[0]}.{type(model).__name__}"


def is_booster(model: Any) -> bool:
    """Return whether this module can read the model's trees."""
    return public_name(model) in BOOSTERS


def read_booster(model: Any) -> Ensemble:
    """Read the trees of a fitted model.

    Raises:
        TwinRefused: The model does something that a sum of trees cannot express.
    """
    read = _lightgbm(model) if public_name(model) in LIGHTGBM else _xgboost(model)
    if not is_classifier(model) or len(read.base) > 1:
        return read
    if read.link not in {"sigmoid", "sigmoids"}:
        raise TwinRefused("its objective gives a classifier one value that is no probability")
    return replace(read, link="sigmoid")


def _lightgbm(model: Any) -> Ensemble:
    odd = sorted(
        name for name in getattr(model, "_other_params", {}) if name.startswith(_AT_PREDICTION)
    )
    if odd:
        raise TwinRefused(f"{odd[0]} changes how it predicts")
    # Without num_iteration, both the stored text and predictions end with the best iteration.
    head, *blocks = model.booster_.model_to_string().partition("end of trees")[0].split("\nTree=")
    stored_model = _lines(head)
    objective, *options = stored_model.get("objective", "none").split()
    if objective not in _LIGHTGBM_LINKS or "sqrt" in options:
        raise TwinRefused(
            f"LightGBM's objective {' '.join([objective, *options])!r} is not among those whose "
            "answers follow from a sum of trees"
        )
    width = int(stored_model["num_tree_per_iteration"])
    trees = [_leafwise(_lines(block), at % width) for at, block in enumerate(blocks)]
    factor = 1.0
    for name, _, value in (option.partition(":") for option in options):
        if name == "sigmoid":
            factor = float(value)
    if "average_output" in stored_model:
        factor /= len(trees) // width
    return Ensemble(
        trees,
        np.zeros(width),
        _LIGHTGBM_LINKS[objective],
        factor,
        Arithmetic(zero=_ZERO),
    )


def _lines(text: str) -> dict[str, str]:
    """Parse `key=value` lines; a key without a value gets an empty one."""
    parts = (line.partition("=") for line in text.splitlines())
    return {key: value for key, _, value in parts}


def _leafwise(stored_model: dict[str, str], target: int) -> Tree:
    """Read a tree whose inner nodes are numbered from 0 up and whose leaves from -1 down."""
    if stored_model.get("is_linear", "0") != "0":
        raise TwinRefused("its leaves hold linear models (linear_tree)")

    def numbers(name: str, kind: type) -> npt.NDArray[Any]:
        return np.array(stored_model.get(name, "").split(), dtype=kind)

    leaves = numbers("leaf_value", np.float64)
    inner = len(leaves) - 1
    # A tree with a single leaf has no splits, but its text may have empty lines for them.
    split, threshold = (
        numbers(name, kind)[:inner]
        for name, kind in (("split_feature", np.int64), ("threshold", np.float64))
    )
    decision, left, right = (
        numbers(name, np.int64)[:inner] for name in ("decision_type", "left_child", "right_child")
    )
    if (decision & _CATEGORICAL).any():
        raise TwinRefused("it splits categories by itself; encode them before it")
    missing = decision & _MISSING_KIND
    if (missing == _ZERO_MISSING).any():
        raise TwinRefused("it takes zeros for missing (zero_as_missing)")
    # If the feature had no missing value in training, LightGBM treats a missing value as 0.
    missing_left = np.where(missing == _NAN_MISSING, decision & _DEFAULT_LEFT != 0, threshold >= 0)
    none = np.zeros(len(leaves))
    return Tree(
        feature=np.append(split, none).astype(np.int64),
        threshold=np.append(threshold, none),
        left=np.append(np.where(left < 0, inner + ~left, left), none).astype(np.int64),
        right=np.append(np.where(right < 0, inner + ~right, right), none).astype(np.int64),
        missing_left=np.append(missing_left, none).astype(np.int64),
        leaf=np.arange(inner + len(leaves)) >= inner,
        values=np.append(np.zeros(inner), leaves)[:, None],
        targets=(target,),
    )


def _xgboost(model: Any) -> Ensemble:
    if model.missing is not None and not np.isnan(model.missing):
        raise TwinRefused(f"it takes {model.missing!r} for missing; leave that to NaN")
    stored_model = json.loads(bytes(model.get_booster().save_raw("json")))["learner"]
    kind, objective = stored_model["gradient_booster"]["name"], stored_model["objective"]["name"]
    if kind != "gbtree":
        raise TwinRefused(f"XGBoost's booster {kind!r} is no plain sum of trees, as 'gbtree' is")
    if objective not in _XGBOOST_LINKS:
        raise TwinRefused(
            f"XGBoost's objective {objective!r} is not among those whose answers follow from a sum "
            "of trees"
        )
    shape = stored_model["learner_model_param"]
    if int(shape.get("num_target", 1)) > 1:
        raise TwinRefused("it predicts several targets at once")
    stored = stored_model["gradient_booster"]["model"]
    trees = [
        _numbered(tree, target)
        for tree, target in zip(stored["trees"], stored["tree_info"], strict=True)
    ]
    link = _XGBOOST_LINKS[objective]
    base = np.float32(json.loads(shape["base_score"]))
    return Ensemble(
        trees[: _last_tree(model, stored["iteration_indptr"])],
        np.broadcast_to(_margin(base, link), max(1, int(shape["num_class"]))).astype(np.float64),
        link,
        arithmetic=Arithmetic(rounds=True, strict=True, single=True, absent=True),
    )


def _last_tree(model: Any, starts: list[int]) -> int:
    """Return the number of trees that predict: all up to the best iteration of an early stop."""
    best = getattr(model, "best_iteration", None)  # a property that raises without an early stop
    return starts[-1] if best is None else starts[best + 1]


def _margin(base: Any, link: str) -> Any:
    """Return the start value of the sum, in the units of the sum, by XGBoost's operations.

    Logarithms are computed in float64 and rounded, as C does it; numpy's float32 logarithms are
    less exact.
    """
    if link == "exp":
        return np.float32(np.log(np.float64(base)))
    if link in {"sigmoid", "sigmoids"}:
        return np.float32(-np.log(np.float64(np.float32(1) / base - np.float32(1))))
    return base


def _numbered(stored: dict[str, Any], target: int) -> Tree:
    """Read a tree whose nodes are numbered, with gaps where branches were pruned."""
    if int(stored["tree_param"]["size_leaf_vector"]) > 1:
        raise TwinRefused("its leaves hold several values (multi_strategy)")
    if any(stored["split_type"]):
        raise TwinRefused("it splits categories by itself; encode them before it")
    left, right = (np.array(stored[f"{side}_children"], dtype=np.int64) for side in _SIDES)
    kept = np.array(sorted(_reachable(left, right)), dtype=np.int64)
    place = np.zeros(len(left), dtype=np.int64)
    place[kept] = np.arange(len(kept))
    leaf = left[kept] < 0
    numbers = np.array(stored["split_conditions"], dtype=np.float32)[kept].astype(np.float64)
    return Tree(
        feature=np.where(leaf, 0, np.array(stored["split_indices"], dtype=np.int64)[kept]),
        threshold=np.where(leaf, 0.0, numbers),
        left=np.where(leaf, 0, place[left[kept]]),
        right=np.where(leaf, 0, place[right[kept]]),
        missing_left=np.where(leaf, 0, np.array(stored["default_left"], dtype=np.int64)[kept]),
        leaf=leaf,
        values=np.where(leaf, numbers, 0.0)[:, None],
        targets=(target,),
    )


def _reachable(left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> Iterator[int]:
    waiting = [0]
    while waiting:
        node = waiting.pop()
        yield node
        if left[node] >= 0:
            waiting += [int(left[node]), int(right[node])]
