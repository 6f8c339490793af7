"""Permutation importance: how much the primary metric loses when one feature is shuffled."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.inspection import permutation_importance

from cloche.training.evaluation.metrics import score
from cloche.training.evaluation.predictions import Outcome
from cloche.training.recipe.vocabulary import METRICS

ROWS, REPEATS = 4_000, 3


def feature_importance(
    pipeline: Any,
    features: pd.DataFrame,
    truth: np.ndarray,
    *,
    metric: str,
    judge: Callable[[pd.DataFrame, np.ndarray], Outcome],
    seed: int,
) -> pd.DataFrame:
    """Shuffle each feature of at most 4,000 holdout rows three times.

    Args:
        pipeline: the fitted pipeline.
        features: (n rows) prepared features of the holdout.
        truth: (n,) the target column.
        metric: the metric whose loss is measured.
        judge: (features, truth) → outcome by the pipeline.
        seed: of the row sample and the shuffles.

    Returns:
        Columns `feature`, `mean`, `std`, most important first; positive means that the feature
        helps.
    """
    rows = np.random.default_rng(seed).permutation(len(features))[:ROWS]
    sign = 1 if METRICS[metric].greater_is_better else -1

    def scoring(_pipeline: Any, shuffled: pd.DataFrame, labels: np.ndarray) -> float:
        return sign * score(metric, judge(shuffled, labels))

    result = permutation_importance(
        pipeline,
        features.iloc[rows],
        truth[rows],
        scoring=scoring,
        n_repeats=REPEATS,
        random_state=seed,
    )
    return pd.DataFrame(
        {
            "feature": features.columns,
            "mean": result.importances_mean,
            "std": result.importances_std,
        }
    ).sort_values("mean", ascending=False, ignore_index=True)
