"""A fitted ensemble of trees in one form for all libraries: comparisons, leaves and their sum."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Tree:
    """One decision tree, as arrays over its nodes.

    Attributes:
        feature: (nodes,) Index of the feature that a node compares.
        threshold: (nodes,) Threshold of the comparison: a row goes left if its feature is at most
            the threshold, or below it if the arithmetic is strict.
        left: (nodes,) Index of the left child; 0 for a leaf, which has none.
        right: (nodes,) Index of the right child; 0 for a leaf, which has none.
        missing_left: (nodes,) Whether a row with a missing feature goes left.
        leaf: (nodes,) Whether the node is a leaf.
        values: (nodes, targets) Values that a leaf adds to the scores.
        targets: (targets,) Indices of the scores that the values are added to.
    """

    feature: npt.NDArray[np.int64]
    threshold: npt.NDArray[np.float64]
    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    missing_left: npt.NDArray[np.int64]
    leaf: npt.NDArray[np.bool_]
    values: npt.NDArray[np.float64]
    targets: Sequence[int]


@dataclass(frozen=True)
class Arithmetic:
    """How a library compares features and sums leaves.

    Attributes:
        rounds: Whether a feature is rounded to float32 before it is compared.
        strict: Whether a feature goes left only if it is below a threshold, not if it equals it.
        single: Whether thresholds and leaves are float32, and leaves are added up in float32, one
            tree after the other, starting from the base.
        zero: Magnitude up to which a feature counts as 0, unless the features are a sparse matrix.
        absent: Whether an entry that a sparse matrix does not store is missing rather than 0.
    """

    rounds: bool = False
    strict: bool = False
    single: bool = False
    zero: float = 0.0
    absent: bool = False


@dataclass(frozen=True)
class Ensemble:
    """Trees whose leaves are summed.

    Attributes:
        trees: The trees, in the order of summation.
        base: (targets,) Start values of the sums.
        link: Function from sums to scores: `identity`, `exp`, `sigmoids` (of each sum), `sigmoid`
            (of one sum, for two classes) or `softmax`.
        factor: Factor that the sum is multiplied by before the link.
        arithmetic: How features are compared and leaves are summed.
    """

    trees: list[Tree]
    base: npt.NDArray[np.float64]
    link: str
    factor: float = 1.0
    arithmetic: Arithmetic = field(default_factory=Arithmetic)
