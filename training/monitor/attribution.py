"""Splits a fall of quality into traffic and model: the version before it scores the same rows."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from mlflow import MlflowClient

from cloche.training.errors import ClocheError
from cloche.training.evaluation.metrics import score
from cloche.training.gate.fetched_version import fetch
from cloche.training.monitor.logged_days import Log, inputs_of
from cloche.training.monitor.quality import signed
from cloche.training.monitor.version_reference import Probing, VersionReference
from cloche.training.promotion.registry import find_model, find_version

_MOST_ROWS = 20_000


def explain_fall(
    client: MlflowClient, reference: VersionReference, log: Log,
    *, model: str, rows: pd.DataFrame, found: float, probing: Probing,
) -> str:  # fmt: skip
    """Return in a sentence how much of a fall the version before it has on the same rows, too.

    Both versions fall by what changed in the traffic; the rest is the model's.

    Args:
        client: MLflow client for the tracking store and the registry.
        reference: The version whose quality fell.
        log: The log that the rows are from.
        model: Name of the registered model.
        rows: Sampled rows with labels, with a column `truth`.
        found: Value of the judged metric on these rows.
        probing: How versions are run.
    """
    policy, target, metric = reference.policy, reference.target, reference.metrics[0]
    if policy is None or target is None or not reference.intervals:
        return ""
    if absent := [name for name in _needed(reference) if name not in log.inputs]:
        return f"traffic and model cannot be told apart: {', '.join(absent[:5])} is not logged"
    try:
        aliases = find_model(client, model)
        number = aliases.previous if aliases.previous != reference.number else aliases.production
        if number is None or number == reference.number:
            return "traffic and model cannot be told apart: there is no version before it"
        run_id = find_version(client, model, number).run_id
        before = client.get_run(run_id).data.metrics.get(f"holdout/{metric}") if run_id else None
        if before is None:
            return f"traffic and model cannot be told apart: version {number} has no holdout"
        frame = inputs_of(rows.head(_MOST_ROWS), log.inputs)
        frame[policy.target] = rows["truth"].head(_MOST_ROWS).to_numpy()
        with TemporaryDirectory(prefix="cloche-") as folder:
            fetched = fetch(find_version(client, model, number), Path(folder))
            there = score(metric, probing.pairs(fetched, policy, frame, target))
    except ClocheError as error:
        return f"traffic and model cannot be told apart: {error}"
    fall = signed(metric) * (reference.intervals[metric][0] - found)
    traffic = signed(metric) * (before - there)
    return (
        f"version {number} has {metric} {there:.4f} on the same rows: of the fall by {fall:.4f}, "
        f"{traffic:+.4f} is in the traffic and {fall - traffic:+.4f} in the model"
    )


def _needed(reference: VersionReference) -> list[str]:
    fetched = reference.fetched
    schema = fetched.model.signature.inputs if fetched and fetched.model.signature else None
    named = schema is not None and schema.has_input_names()
    return list(map(str, schema.required_input_names())) if schema is not None and named else []
