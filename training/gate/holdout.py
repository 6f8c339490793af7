"""Fetches the rows that a version is judged on, from the source that its policy names."""

import os
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from cloche.registry.permissions import explain_refusal
from cloche.training.dataset.checks.target_column import rows_with_target
from cloche.training.dataset.reading.digest import frame_digest
from cloche.training.dataset.reading.formats import absent_columns
from cloche.training.dataset.reading.sources import load_table
from cloche.training.errors import DataError, RegistryError
from cloche.training.evaluation.predictions import quote_names
from cloche.training.gate.fetched_version import FetchedVersion
from cloche.training.gate.policy import CarriedHoldout, Policy


@dataclass(frozen=True)
class Holdout:
    """Rows on which versions are judged: those that the judged one was not trained on.

    Attributes:
        frame: Features, slice columns and target, n rows.
        source: Origin of the rows, for people.
        digest: Digest of the source's content.
        without_target: Number of rows of the source that are left out because they have no target.
        live: For logged rows, which ones they are, for people; else empty.
    """

    frame: pd.DataFrame
    source: str
    digest: str
    without_target: int = 0
    live: str = ""


def fetch_holdout(client: MlflowClient, policy: Policy, run_id: str | None) -> Holdout:
    """Fetch the holdout that a policy names.

    Raises:
        RegistryError: The rows are gone, or differ from the holdout of the version's training.
        DataError: The table cannot be read, or lacks the target.
    """
    if policy.holdout is not None:
        holdout = _carried(client, policy.holdout, run_id)
    elif policy.data is not None:
        table = load_table(policy.data, target=policy.target)
        frame = rows_with_target(table.frame, policy.target)
        missing = len(table.frame) - len(frame)
        holdout = Holdout(frame, table.source, table.digest, missing)
    else:
        raise RegistryError("the policy names no holdout")
    return require_columns(holdout, policy)


def require_columns(holdout: Holdout, policy: Policy) -> Holdout:
    """Return a holdout that has rows, the target and the features that its policy names.

    Raises:
        DataError: It has not.
    """
    if policy.target not in holdout.frame.columns:
        raise DataError(holdout.source, [f"there is no column {policy.target!r}, the target"])
    if absent := absent_columns(policy.features, list(holdout.frame.columns)):
        raise DataError(holdout.source, [f"features: {problem}" for problem in absent])
    if holdout.frame.empty:
        raise DataError(holdout.source, ["there are no rows with a target to judge on; add some"])
    return holdout


def require_inputs(holdout: Holdout, chain: FetchedVersion) -> None:
    """Check that a holdout has what the first stage of a version takes.

    Raises:
        RegistryError: It lacks columns, as one of rows that were prepared already does.
    """
    schema = chain.model.signature.inputs if chain.model.signature else None
    if schema is None or schema.is_tensor_spec() or not schema.has_input_names():
        return
    named = schema.required_input_names()
    if absent := [name for name in named if name not in holdout.frame.columns]:
        raise RegistryError(
            f"{chain.stages[0].label}, which prepares the rows of {chain.version.name} version "
            f"{chain.version.version}, takes {quote_names(absent)}, and the holdout "
            f"{holdout.source} lacks {'it' if len(absent) == 1 else 'them'}; judge both on a table "
            "of raw rows with the target, named under `data` in a policy: --policy FILE"
        )


def _carried(client: MlflowClient, carried: CarriedHoldout, run_id: str | None) -> Holdout:
    source = f"runs:/{run_id}/{carried.artifact}"
    if not run_id:
        raise RegistryError(
            "the version names no training run, so its holdout cannot be found; "
            "give criteria and data with --policy FILE"
        )
    with TemporaryDirectory(prefix="cloche-") as folder:
        try:
            path = client.download_artifacts(run_id, carried.artifact, folder)
        except (MlflowException, OSError) as error:
            raise RegistryError(
                f"the holdout {source} cannot be fetched: "
                + (
                    explain_refusal(error)
                    or f"{error}. Train again, or give criteria and data with --policy FILE"
                )
            ) from error
        frame = pd.read_parquet(Path(os.fspath(path)))
    digest = frame_digest(frame)
    if digest != carried.digest:
        raise RegistryError(
            f"the holdout {source} is not the one that the version was trained beside "
            f"(digest {digest[:12]}, expected {carried.digest[:12]}); train again"
        )
    return Holdout(frame, source, digest)
