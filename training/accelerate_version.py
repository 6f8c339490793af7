"""Adds an accelerated twin to a version that is already registered: the order of the steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from mlflow import MlflowClient

from cloche.registry.env_manager import NotBuilt, extra_requirements, interpreter
from cloche.registry.installed_packages import mismatches
from cloche.training.acceleration.proof.equivalence import Proof
from cloche.training.acceleration.proof_process import make_twin_in_process
from cloche.training.acceleration.store import attach_to_version, withdraw
from cloche.training.dataset.reading.sources import load_table
from cloche.training.errors import RegistryError, TrainingError, TwinRefused
from cloche.training.gate.fetched_version import FetchedVersion, fetch
from cloche.training.gate.holdout import fetch_holdout
from cloche.training.gate.model_probe import model_rows
from cloche.training.gate.policy import carried_policy
from cloche.training.names import CHALLENGER
from cloche.training.promotion.registry import find_model, find_version
from cloche.training.recipe.sections import Data
from cloche.values.progress import Say


@dataclass(frozen=True)
class AcceleratedVersion:
    """A version that has just received a twin."""

    model: str
    version: str
    proof: Proof


def accelerate_version(
    client: MlflowClient,
    model: str,
    *,
    version: str | None,
    data: str | None,
    env_manager: str,
    cache: Path,
    extra_names: Sequence[str] = (),
    say: Say,
) -> AcceleratedVersion:
    """Make a twin of a registered version, prove it, and store it with the version.

    Args:
        client: MLflow client for the registry.
        model: Name of the registered model.
        version: Number of the version; by default the challenger, or else the production version.
        data: Source of the rows for the proof; by default the holdout that the version carries.
        env_manager: Tool that builds the environment for the proof; `local` builds none.
        cache: Folder where environments are kept.
        extra_names: Additional environment variables for the version's process; see
            `cloche.processes.child_variables`.
        say: Called with a description of each step as it begins.

    Raises:
        TwinRefused: The twin cannot be made or proven; an older twin of the version is withdrawn.
        TrainingError: The version cannot be loaded, or its environment cannot be built; an older
            twin of the version stays.
        RegistryError: The version, or its holdout, is not there.
        DataError: The rows cannot be read.
    """
    found = find_model(client, model)
    number = version or found.challenger or found.production
    if number is None:
        raise RegistryError(
            f"{model} has neither a {CHALLENGER} nor a production version; name one: --version N"
        )
    entry = find_version(client, model, number)
    with TemporaryDirectory(prefix="cloche-") as folder:
        say(f"fetching {model} version {number}")
        fetched = fetch(entry, Path(folder))
        rows = _rows(client, fetched, data)
        python = _interpreter(fetched, env_manager, cache, say)
        say(f"proving a twin on {len(rows):,} rows and adversarial ones")
        try:
            twin = make_twin_in_process(
                fetched.folder, rows, extra_names=extra_names, python=python
            )
        except TwinRefused as refusal:
            withdraw(client, entry)
            raise TwinRefused(f"{fetched.label} gets no accelerated twin: {refusal}") from refusal
        except TrainingError as error:
            raise TrainingError(f"{fetched.label}: {error}") from error
    say("writing it beside the model")
    attach_to_version(client, entry, twin)
    return AcceleratedVersion(model, number, twin.proof)


def _interpreter(fetched: FetchedVersion, manager: str, cache: Path, say: Say) -> str:
    """Return the interpreter to make the twin with; empty for the current interpreter."""
    also = extra_requirements("acceleration")
    try:
        python = interpreter(fetched.folder, manager, cache, say, also=also)
    except NotBuilt as error:
        raise TrainingError(f"{fetched.label}: {error}") from error
    if not python and (differs := mismatches(fetched.folder)):
        say(
            f"this environment is not the one that it was logged with: {', '.join(differs)}. "
            "--env-manager uv proves the twin in that one"
        )
    return python


def _rows(client: MlflowClient, fetched: FetchedVersion, data: str | None) -> pd.DataFrame:
    policy = carried_policy(fetched.model.metadata)
    if data is not None:
        frame = load_table(Data(source=data)).frame
        target = policy.target if policy else ""
    elif policy is not None:
        frame = fetch_holdout(client, policy, fetched.version.run_id).frame
        target = policy.target
    else:
        raise RegistryError(
            f"{fetched.label} was not trained by Cloche and carries no rows; "
            "name some like those that it will be asked about: --data FILE"
        )
    rows = model_rows(frame, fetched.model, target, [])
    # A model that takes tensors gets no twin, so any table will do.
    return rows if isinstance(rows, pd.DataFrame) else frame
