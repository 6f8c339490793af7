"""What a fitted ensemble of trees asks and adds, whichever library grew it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Tree:
    """One tree.

    Attributes:
        feature: (nodes,) index of the feature that a node asks about.
        threshold: (nodes,) it goes left if the feature is not above it, or is below it if strict.
        left: (nodes,) index of the left child; itself or less for a leaf.
        right: (nodes,) likewise.
        missing_left: (nodes,) whether a missing feature goes left.
        leaf: (nodes,) whether it asks nothing.
        values: (nodes, targets) what a leaf adds.
        targets: (targets,) to which scores.
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
    """How a library compares and sums.

    Attributes:
        rounds: a feature is rounded to float32 before it is compared.
        strict: a feature goes left if it is below a threshold, not if it equals it.
        single: thresholds and leaves are float32, and leaves are added up in float32, one tree
            after the other, from the base on.
        zero: magnitudes up to this one count as 0, if the features are no sparse matrix.
        absent: what a sparse matrix does not hold is missing, and no 0.
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
        trees: in their order.
        base: (targets,) what the sum starts from.
        link: what makes scores of the sums: `identity`, `exp`, `sigmoids` (of each), `sigmoid` (of
            one, for two classes) or `softmax`.
        factor: of the sum, before the link.
        arithmetic: how it is computed.
    """

    trees: list[Tree]
    base: npt.NDArray[np.float64]
    link: str
    factor: float = 1.0
    arithmetic: Arithmetic = field(default_factory=Arithmetic)
