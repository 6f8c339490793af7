"""Converts trees to ONNX with exactly the comparisons that scikit-learn makes.

skl2onnx 1.20 stores thresholds as float32 and fails on histogram gradient boosting, whose nodes
hold numpy integers and booleans. Here a threshold stays a float64 and is compared with a float64,
so that a decision near it cannot change. Trees of `sklearn.tree` round a feature to float32 before
they compare it, and so does their graph; histogram gradient boosting compares it unrounded.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, numpy_helper
from skl2onnx.common.data_types import DoubleTensorType
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)

from cloche.training.acceleration.conversion.boosters import is_booster, read_booster
from cloche.training.acceleration.conversion.ensembles import Arithmetic, Ensemble, Tree
from cloche.training.acceleration.conversion.onnx_nodes import constant, writer
from cloche.training.errors import TwinRefused

MOST_NODES = 1_000_000  # about 100 MB of ONNX, and half a minute to write it

_SINGLE = (DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier, ExtraTreeRegressor)
_AVERAGED = (
    RandomForestClassifier,
    RandomForestRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
)
_BOOSTED = (GradientBoostingClassifier, GradientBoostingRegressor)
_HISTOGRAM = (HistGradientBoostingClassifier, HistGradientBoostingRegressor)
TREES = (*_SINGLE, *_AVERAGED, *_BOOSTED, *_HISTOGRAM)

# Name of a link → ONNX operator that turns the summed leaves into scores.
_LINKS = {"identity": "Identity", "sigmoids": "Sigmoid", "exp": "Exp"}
_ROUNDED = Arithmetic(rounds=True)  # how the trees of `sklearn.tree` compare


def consists_of_trees(model: Any) -> bool:
    """Return whether a model consists of trees that can be read."""
    return isinstance(model, TREES) or is_booster(model)


def ensemble_of(model: Any) -> Ensemble:
    """Read a fitted model of trees.

    Raises:
        TwinRefused: The model does more than compare features with thresholds and sum leaves.
    """
    if is_booster(model):
        return read_booster(model)
    if getattr(model, "n_outputs_", 1) != 1:
        raise TwinRefused("it predicts several targets at once")
    if isinstance(model, _HISTOGRAM):
        return _histogram(model)
    if isinstance(model, _BOOSTED):
        return _boosted(model)
    grown = [model] if isinstance(model, _SINGLE) else list(model.estimators_)
    trees = [_plain(one.tree_, 1 / len(grown)) for one in grown]
    return Ensemble(trees, np.zeros(len(trees[0].targets)), "identity", arithmetic=_ROUNDED)


def thresholds(model: Any) -> Iterator[tuple[int, npt.NDArray[np.float64]]]:
    """Yield the index and the sorted thresholds of each feature that the trees compare."""
    trees = ensemble_of(model).trees
    asked = np.concatenate([tree.feature[~tree.leaf] for tree in trees])
    values = np.concatenate([tree.threshold[~tree.leaf] for tree in trees])
    for feature in np.unique(asked):
        yield int(feature), np.unique(values[asked == feature])


def _plain(tree: Any, weight: float, target: int | None = None) -> Tree:
    values = np.asarray(tree.value[:, 0, :], dtype=np.float64)
    if values.shape[1] > 1:
        values = values / values.sum(axis=1, keepdims=True)
    leaf = tree.children_left < 0
    return Tree(
        feature=np.where(leaf, 0, tree.feature).astype(np.int64),
        threshold=np.where(leaf, 0.0, tree.threshold),
        left=np.where(leaf, 0, tree.children_left).astype(np.int64),
        right=np.where(leaf, 0, tree.children_right).astype(np.int64),
        missing_left=np.where(leaf, 0, tree.missing_go_to_left).astype(np.int64),
        leaf=leaf,
        values=values * weight,
        targets=range(values.shape[1]) if target is None else (target,),
    )


def _boosted(model: Any) -> Ensemble:
    if model.init_ != "zero" and not isinstance(model.init_, DummyClassifier | DummyRegressor):
        raise TwinRefused(f"its boosting starts from {type(model.init_).__name__}")
    trees = [
        _plain(tree.tree_, model.learning_rate, target)
        for stage in model.estimators_
        for target, tree in enumerate(stage)
    ]
    base = np.asarray(model._raw_predict_init(np.zeros((1, model.n_features_in_))), float)
    link, factor = "identity", 1.0
    if isinstance(model, GradientBoostingClassifier):
        link = "sigmoid" if base.size == 1 else "softmax"
        factor = 2.0 if model.loss == "exponential" else 1.0
    return Ensemble(trees, base.ravel(), link, factor, _ROUNDED)


def _histogram(model: Any) -> Ensemble:
    trees = []
    for stage in model._predictors:
        for target, predictor in enumerate(stage):
            nodes = predictor.nodes
            leaf = nodes["is_leaf"].astype(bool)
            if (nodes["is_categorical"].astype(bool) & ~leaf).any():
                raise TwinRefused(
                    "it splits categories by itself (categorical_features); encode them before it"
                )
            trees.append(
                Tree(
                    feature=np.where(leaf, 0, nodes["feature_idx"]).astype(np.int64),
                    threshold=np.where(leaf, 0.0, nodes["num_threshold"]),
                    left=np.where(leaf, 0, nodes["left"]).astype(np.int64),
                    right=np.where(leaf, 0, nodes["right"]).astype(np.int64),
                    missing_left=np.where(leaf, 0, nodes["missing_go_to_left"]).astype(np.int64),
                    leaf=leaf,
                    values=nodes["value"].astype(np.float64)[:, None],
                    targets=(target,),
                )
            )
    base = np.asarray(model._baseline_prediction, dtype=np.float64).ravel()
    if isinstance(model, HistGradientBoostingClassifier):
        link = "sigmoid" if base.size == 1 else "softmax"
    else:
        link = "exp" if model.loss in {"poisson", "gamma"} else "identity"
    return Ensemble(trees, base, link)


def parse(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:  # noqa: ARG001
    """Declare to skl2onnx that the operator has one output, the scores."""
    operator = scope.declare_local_operator(f"Cloche{type(model).__name__}", model)
    operator.inputs = list(inputs)
    operator.outputs.append(scope.declare_local_variable("scores", DoubleTensorType()))
    return operator.outputs


def shape(operator: Any) -> None:
    """Declare to skl2onnx the type and the shape of the scores."""
    rows = operator.inputs[0].get_first_dimension()
    classes = getattr(operator.raw_operator, "classes_", (None,))
    operator.outputs[0].type = DoubleTensorType([rows, len(classes)])


def convert(scope: Any, operator: Any, container: Any, *, sparse: bool = False) -> None:
    """Write the trees into the graph; skl2onnx calls this function with its own types.

    Args:
        scope: skl2onnx's scope of the graph, which gives unique names.
        operator: The operator, with the model and its input.
        container: skl2onnx's container of the graph's nodes.
        sparse: Whether the original model takes its features as a sparse matrix.
    """
    ensemble = ensemble_of(operator.raw_operator)
    count = sum(len(tree.leaf) for tree in ensemble.trees)
    if count > MOST_NODES:
        raise TwinRefused(f"its trees have {count:,} nodes, and {MOST_NODES:,} are the most")
    node = writer(scope, container)
    how = ensemble.arithmetic
    features = operator.inputs[0].full_name
    if sparse and how.absent:
        zero, nan = (constant(scope, container, value) for value in (0.0, np.nan))
        features = node("Where", [node("Equal", [features, zero]), nan, features])
    if how.rounds:
        features = node("Cast", [features], to=TensorProto.FLOAT)
    if not how.single:
        features = node("Cast", [features], to=TensorProto.DOUBLE)
    if how.zero and not sparse:
        zero, limit = (constant(scope, container, value) for value in (0.0, how.zero))
        tiny = node("LessOrEqual", [node("Abs", [features]), limit])
        features = node("Where", [tiny, zero, features])
    parted = ensemble.link == "exp" and not how.single
    attributes = _singles(ensemble) if how.single else _doubles(ensemble, parted=parted)
    raw = node("TreeEnsembleRegressor", [features], domain="ai.onnx.ml", version=3, **attributes)
    summed = node("Cast", [raw], to=TensorProto.DOUBLE)
    if parted:
        summed = node("MatMul", [summed, constant(scope, container, [[1.0], [1.0]])])
    if ensemble.factor != 1.0:
        summed = node("Mul", [summed, constant(scope, container, ensemble.factor)])
    output = operator.outputs[0].full_name
    if ensemble.link == "softmax":
        node("Softmax", [summed], axis=1, output=output)
    elif ensemble.link == "sigmoid":
        second = node("Sigmoid", [summed])
        first = node("Sub", [constant(scope, container, 1.0), second])
        node("Concat", [first, second], axis=1, output=output)
    else:
        node(_LINKS[ensemble.link], [summed], output=output)


def _doubles(ensemble: Ensemble, *, parted: bool) -> dict[str, Any]:
    """Return the attributes of the operator TreeEnsembleRegressor, with values in float64.

    Args:
        ensemble: The trees.
        parted: Whether to compute two sums to be added, instead of one. The operator rounds a sum
            to float32 in the end, and an exponential turns an absolute error into a relative one.
    """
    if parted:
        ensemble = _in_parts(ensemble)
    common, thresholds, weights = _attributes(ensemble)
    return common | {
        "nodes_values_as_tensor": numpy_helper.from_array(thresholds),
        "target_weights_as_tensor": numpy_helper.from_array(weights),
        "base_values_as_tensor": numpy_helper.from_array(ensemble.base),
    }


def _in_parts(ensemble: Ensemble) -> Ensemble:
    """Split every value into a coarse one, whose sums float32 holds exactly, and a small rest."""
    most = np.abs(ensemble.base).sum() + sum(np.abs(t.values).max() for t in ensemble.trees)
    step = 2.0 ** (np.ceil(np.log2(most)) - 22) if most else 1.0

    def both(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        coarse = np.round(values / step) * step
        return np.concatenate([coarse, values - coarse], axis=-1)

    trees = [replace(tree, values=both(tree.values), targets=(0, 1)) for tree in ensemble.trees]
    return replace(ensemble, trees=trees, base=both(ensemble.base))


def _singles(ensemble: Ensemble) -> dict[str, Any]:
    """Return the operator's attributes with values in float32.

    The base becomes a first tree, because onnxruntime adds its own base last.
    """
    targets = range(len(ensemble.base))
    nothing = np.zeros(1, dtype=np.int64)
    base = Tree(
        feature=nothing,
        threshold=np.zeros(1),
        left=nothing,
        right=nothing,
        missing_left=nothing,
        leaf=np.ones(1, dtype=bool),
        values=ensemble.base[None, :],
        targets=targets,
    )
    common, thresholds, weights = _attributes(replace(ensemble, trees=[base, *ensemble.trees]))
    return common | {"nodes_values": thresholds.tolist(), "target_weights": weights.tolist()}


def _attributes(
    ensemble: Ensemble,
) -> tuple[dict[str, Any], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return attributes without floats, thresholds (nodes,) and weights (leaves times targets,)."""
    trees = ensemble.trees
    sizes = [len(tree.leaf) for tree in trees]
    leaves = [np.flatnonzero(tree.leaf) for tree in trees]
    joined = {
        name: np.concatenate([getattr(tree, name) for tree in trees])
        for name in ("feature", "threshold", "left", "right", "missing_left", "leaf")
    }
    weights = np.concatenate([t.values[at].ravel() for t, at in zip(trees, leaves, strict=True)])
    repeated = [(i, t, at) for i, (t, at) in enumerate(zip(trees, leaves, strict=True))]
    branch = "BRANCH_LT" if ensemble.arithmetic.strict else "BRANCH_LEQ"
    attributes = {
        "n_targets": len(ensemble.base),
        "aggregate_function": "SUM",
        "post_transform": "NONE",
        "nodes_treeids": np.repeat(np.arange(len(trees)), sizes).tolist(),
        "nodes_nodeids": np.concatenate([np.arange(size) for size in sizes]).tolist(),
        "nodes_featureids": joined["feature"].tolist(),
        "nodes_modes": np.where(joined["leaf"], "LEAF", branch).tolist(),
        "nodes_truenodeids": joined["left"].tolist(),
        "nodes_falsenodeids": joined["right"].tolist(),
        "nodes_missing_value_tracks_true": joined["missing_left"].tolist(),
        "target_treeids": [i for i, t, at in repeated for _ in range(len(at) * len(t.targets))],
        "target_nodeids": [int(n) for _, t, at in repeated for n in np.repeat(at, len(t.targets))],
        "target_ids": [int(k) for _, t, at in repeated for _ in at for k in t.targets],
    }
    return attributes, joined["threshold"], weights
