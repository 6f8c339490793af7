"""Searches the estimator's parameters, on training rows only.

Optuna proposes settings; each is fitted on one part of the training rows and judged on the other.
The first trial uses the recipe's own parameters, so a search can only improve on them, measured by
the metric that it tunes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isnan
from time import monotonic
from typing import Any

import pandas as pd

from cloche.training.errors import TrainingError
from cloche.training.recipe.schema import Recipe
from cloche.training.recipe.sections import Range, Search

Judge = Callable[[dict[str, Any]], float]


@dataclass(frozen=True)
class Trial:
    """One setting that was tried.

    Attributes:
        number: Number of the trial, from 0.
        params: Estimator parameters that differ from the recipe's; empty for the first trial.
        score: Primary metric on the validation rows.
        seconds: Time of fit and scoring together.
    """

    number: int
    params: dict[str, Any]
    score: float
    seconds: float


def run_search(
    recipe: Recipe,
    judge: Judge,
    *,
    greater_is_better: bool,
    on_trial: Callable[[Trial], None],
) -> Trial:
    """Try settings until the recipe's trials or seconds are used up, and return the best one.

    Raises:
        TrainingError: Optuna is not installed, or no trial has a defined metric.
    """
    if recipe.search is None:
        raise TrainingError(f"recipe {recipe.name!r} has no search section")
    try:
        import optuna  # noqa: PLC0415 (an extra: only recipes with a search need it)
    except ImportError as error:
        raise TrainingError(
            "the search for parameters needs Optuna: pip install 'cloche[search]', "
            "or remove the recipe's search section"
        ) from error

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize" if greater_is_better else "minimize",
        sampler=optuna.samplers.TPESampler(seed=recipe.seed),
    )
    trials: list[Trial] = []

    def objective(params: dict[str, Any]) -> float:
        started = monotonic()
        score = judge(params)
        trials.append(Trial(len(trials), params, score, monotonic() - started))
        on_trial(trials[-1])
        return score

    started = monotonic()
    objective({})
    while len(trials) < recipe.search.trials and monotonic() - started < recipe.search.seconds:
        asked = study.ask()
        score = objective(_propose(asked, recipe.search))
        if isnan(score):
            study.tell(asked, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(asked, score)
    known = [trial for trial in trials if not isnan(trial.score)]
    if not known:
        raise TrainingError(
            f"the search cannot compare its trials: the validation rows do not define "
            f"{recipe.primary_metric}; take another metric or a larger search.validation"
        )
    return (max if greater_is_better else min)(known, key=lambda trial: trial.score)


def _propose(trial: Any, search: Search) -> dict[str, Any]:
    proposal: dict[str, Any] = {}
    for name, values in search.space.items():
        if isinstance(values, Range):
            whole = isinstance(values.low, int) and isinstance(values.high, int)
            suggest = trial.suggest_int if whole else trial.suggest_float
            proposal[name] = suggest(name, values.low, values.high, log=values.log)
        else:
            proposal[name] = trial.suggest_categorical(name, values)
    return proposal


def trials_frame(trials: Sequence[Trial]) -> pd.DataFrame:
    """Return a table with one row for each trial, to be stored as an artifact."""
    return pd.DataFrame(
        [{"trial": t.number, "score": t.score, "seconds": t.seconds, **t.params} for t in trials]
    )
