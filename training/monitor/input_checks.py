"""Checks of logged inputs and scores against the profile, and of inputs from day to day.

A drifted column is one of which a day is unlike the days of training. That cannot see a feed that
delivers yesterday's values: they are as usual, but for being those of the day before.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import pyarrow as pa

from cloche.drift.comparison import change, compare
from cloche.drift.judgement import Distance
from cloche.drift.statistics import count_sample
from cloche.training.monitor.alarms import Exceedance
from cloche.training.monitor.limits import RARE, rare_value
from cloche.training.monitor.logged_days import Log, inputs_of, outputs_of, sampled_evenly
from cloche.training.monitor.version_reference import VersionReference

COUNTED = 2048  # most rows of a day that are counted, as of a part of a batch job
FEWEST = 50  # fewest rows of a day that is judged, as of the profile's days
_SMALLEST_CHANGE = 1e-6
_CHANCE, _MOST_ALIKE = 0.001, 0.05  # days as alike as by chance; the share of those that may be
_COMMON, _EXPECTED = (
    0.005,
    10,
)  # share in training, and rows of a day, of a value that must be there
_LEAST_GONE = 0.005
_ADVICE = {
    "psi": "check the source of the column and what filters its rows",
    "shift": "check the unit and the source of the column",
    "outside": "check the unit, the spelling and the source of the column",
    "missing": "check the feed that delivers the column",
}
_ADVICE_OF_SCORES = (
    "the inputs tell whether the traffic changed; if none of them drifts, check the version: its "
    "threshold and how it was made"
)


@dataclass(frozen=True)
class InputChecks:
    """The results for one version.

    Attributes:
        exceedances: What is beyond its limits.
        drift: A row for each day and column or score: the measure that is largest beside its limit.
        days: The days that were judged.
    """

    exceedances: tuple[Exceedance, ...]
    drift: tuple[dict[str, Any], ...]
    days: tuple[int, ...]

    def unlike_training(self, day: int) -> list[str]:
        """Return the inputs that lie outside of training on a day."""
        return [
            one["name"] for one in self.drift
            if one["day"] == day and one["kind"] == "column" and one["verdict"] == "drifted"
        ]  # fmt: skip


def check_inputs(reference: VersionReference, log: Log, *, share: float) -> InputChecks:
    """Check the days of a version; `share` is its part of the budget."""
    profile, number = reference.profile or {}, reference.number
    columns = profile.get("columns", {})
    usual = _usual_days(reference, profile)
    exceedances, drifted = list[Exceedance](), list[Exceedance]()
    table, days = list[dict[str, Any]](), list[int]()
    for one in log.days_of(number):
        if one.rows < FEWEST or not profile:
            continue
        days.append(one.day)
        today = _counts(log.rows_of(number, one.day), log.inputs, profile)
        for row in _drift(today, profile, RARE * share):
            table.append({"day": one.day, **row})
            if _is_red(row):
                drifted.append(_drifted(row, number, one.day))
        before = _counts(log.sample[log.sample["day"] == one.day - 1], log.inputs, profile)
        rare = RARE * share / max(len(columns), 1)
        unlike = {row["name"] for row in table if row["day"] == one.day and _is_red(row)}
        for found in (*_standing_still(before, today, usual, rare), *_lost(today, usual, rare)):
            if found.check == "gone" or found.subject not in unlike:  # of what lies outside, the
                # profile's bins show no change from day to day
                exceedances.append(replace(found, version=number, day=one.day))
    return InputChecks((*_lasting(drifted), *exceedances), tuple(table), tuple(days))


def _is_red(row: Mapping[str, Any]) -> bool:
    return bool(row["verdict"] == "drifted")


def _lasting(drifted: list[Exceedance]) -> Iterator[Exceedance]:
    """Yield the exceedances of columns that drift on two of three days.

    A storm or a record passes within a day, and a broken feed does not.
    """
    red = {(one.subject, one.day) for one in drifted}
    for one in drifted:
        if any((one.subject, one.day + away) in red for away in (-2, -1, 1, 2)):
            yield one


@dataclass(frozen=True)
class _UsualDays:
    """What columns had on the days of the holdout.

    Attributes:
        columns: The columns in the profile.
        still: Column → how alike each day was to the day before, as 1 / PSI. Columns are left out
            whose days are often as alike as by chance: a day that stands still looks no different.
        gone: Column → the share in training of the common values that each day lacked.
    """

    columns: Mapping[str, Any]
    still: dict[str, list[float]]
    gone: dict[str, list[float]]


def _usual_days(reference: VersionReference, profile: Mapping[str, Any]) -> _UsualDays:
    columns = profile.get("columns", {})
    usual = _UsualDays(columns, {}, {})
    if reference.holdout is None or reference.inputs is None:
        return usual
    names = [name for name in columns if name in reference.inputs.columns]
    before: dict[str, Any] = {}
    found = defaultdict[str, list[Distance]](list)
    for _, rows in reference.inputs[names].groupby(reference.holdout.days):
        chosen = rows.iloc[sampled_evenly(len(rows), COUNTED)]
        today = count_sample(chosen, pa.table({}), dict(profile))
        for name, one in _changes(before, today, columns).items():
            found[name].append(one)
        for name, lost in _gone(today, columns).items():
            usual.gone.setdefault(name, []).append(sum(lost.values()))
        before = today
    for name, changes in found.items():
        alike = sum(one.p_value > _CHANCE for one in changes)
        if alike <= _MOST_ALIKE * len(changes):
            usual.still[name] = [_alikeness(one) for one in changes]
    return usual


def _standing_still(
    before: Mapping[str, Any], today: Mapping[str, Any], usual: _UsualDays, rare: float
) -> Iterator[Exceedance]:
    """Yield the columns whose values are those of the day before."""
    for name, one in _changes(before, today, usual.columns).items():
        if name not in usual.still:
            continue
        value = _alikeness(one)
        limit = rare_value(usual.still[name], rare=rare)
        if value > limit:
            says = (
                f"its values are those of the day before (PSI {1 / value:.2g}; from day to day it "
                f"usually changes by {1 / max(usual.still[name]):.2g} or more)"
            )
            advice = "check whether the feed of the column stands still or comes a day late"
            yield Exceedance("standstill", name, "", 0, value / limit, says, advice)


def _lost(today: Mapping[str, Any], usual: _UsualDays, rare: float) -> Iterator[Exceedance]:
    """Yield the columns in which no row has some value that is common in training."""
    for name, gone in _gone(today, usual.columns).items():
        lost = sum(gone.values())
        limit = max(_LEAST_GONE, rare_value(usual.gone.get(name, [0.0]), rare=rare))
        if lost > limit:
            says = f"no row has {', '.join(gone)}, which {lost:.1%} of the training rows have"
            advice = "check what filters the rows, and whether the values are spelled otherwise"
            yield Exceedance("gone", name, "", 0, lost / limit, says, advice)


def _counts(
    rows: pd.DataFrame, inputs: tuple[str, ...], profile: Mapping[str, Any]
) -> dict[str, Any]:
    chosen = rows.iloc[sampled_evenly(len(rows), COUNTED)]
    outputs = outputs_of(chosen)
    known = outputs[[name for name in outputs.columns if name in profile.get("scores", {})]]
    scores = pa.Table.from_pandas(known, preserve_index=False)
    return count_sample(inputs_of(chosen, inputs), scores, dict(profile))


def _drift(
    today: Mapping[str, Any], profile: Mapping[str, Any], rare: float
) -> Iterator[dict[str, Any]]:
    """Yield each column and score with its worst measure, judged by the days of training."""
    pieces = profile.get("pieces") or {}
    rows = pieces["day"]["rows"] if "day" in pieces else today["sampled"]
    found = compare(today, profile, rows, rare=rare)
    kept = ("name", "measure", "found", "usual", "red", "verdict", "share")
    for kind in ("score", "column"):
        for one in found[f"{kind}s"]:
            most = max(one["bars"], key=lambda bar: abs(bar["after"] - (bar["before"] or 0.0)))
            yield {"kind": kind, **{name: one[name] for name in kept}, "most": most}


def _drifted(row: Mapping[str, Any], version: str, day: int) -> Exceedance:
    most = row["most"]
    usual = "" if row["usual"] is None else f", usually up to {row['usual']:.3g}"
    before, after = most["before"] or 0.0, most["after"]
    says = (
        f"{row['measure']} is {row['found']:.3g}{usual}, alarm above {row['red']:.3g} "
        f"({most['label']}: {after:.0%} of the rows, in training {before:.0%})"
    )
    measure = "missing" if most["label"] == "missing" else row["measure"]
    advice = _ADVICE_OF_SCORES if row["kind"] == "score" else _ADVICE[measure]
    return Exceedance("drift", row["name"], version, day, row["share"], says, advice)


def _changes(
    before: Mapping[str, Any], today: Mapping[str, Any], columns: Mapping[str, Any]
) -> dict[str, Distance]:
    """Return how each column changed from one day to the next."""
    if not before.get("sampled"):
        return {}
    changes = {
        name: change(before["columns"][name], found, columns[name])
        for name, found in today["columns"].items()
    }
    return {name: one for name, one in changes.items() if one is not None}


def _alikeness(one: Distance) -> float:
    return 1 / max(one.psi, _SMALLEST_CHANGE)


def _gone(today: Mapping[str, Any], columns: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return column → value → share in training, of common values that no row has."""
    found = {}
    for name, counts in today["columns"].items():
        known = columns[name].get("counts")
        if not isinstance(known, dict):
            continue
        total = sum(known.values()) + columns[name]["other"] + columns[name]["missing"]
        shares = {value: count / total for value, count in known.items()}
        found[name] = {
            value: share
            for value, share in shares.items()
            if share >= _COMMON and share * today["sampled"] >= _EXPECTED
            and value not in counts["values"]
        }  # fmt: skip
    return found
