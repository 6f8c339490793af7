"""A model and the stages before it as one MLflow model, for what scores tables in one process.

Servers give each stage its own processes. Batch jobs, Spark and the gate load one MLflow model from
a folder: `write_chain` writes such a folder for several versions, whose signature has the inputs of
the first stage and the outputs of the model. MLflow loads it with `serving/host/chain/loader.py`.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import pyfunc
from mlflow.models import Model, ModelSignature

from cloche.registry.stage_fit import first_misfit
from cloche.registry.stage_names import MEMBERS

# The only way from training to serving, which import-linter cannot see: MLflow imports the module
# by this name where a chain is loaded, also in the gate's probe, and calls its `_load_pyfunc`.
LOADER = "cloche.serving.host.chain.loader"
_EXAMPLE_FILES = ("artifact_path", "serving_input_path")  # keys of what MLflow notes of an example


class ChainMisfit(Exception):
    """The versions cannot score as one; the message gives the reason, and who fixes it adds how."""


@dataclass(frozen=True, slots=True)
class Member:
    """A version of a chain.

    Attributes:
        name: Its name and version, for messages.
        folder: Its artifacts.
    """

    name: str
    folder: Path


def write_chain(folder: Path, members: Sequence[Member]) -> None:
    """Write an MLflow model that gives rows to several versions, one after the other.

    Args:
        folder: The folder of the chain, which must be absent or empty. It links to the artifacts.
        members: The stages in the order of the rows, and last the model.

    Raises:
        ChainMisfit: The versions do not fit each other.
    """
    models = [Model.load(str(member.folder)) for member in members]
    _check_fit(members, models)
    folder.mkdir(parents=True, exist_ok=True)
    for place, member in enumerate(members):
        (folder / str(place)).symlink_to(member.folder.absolute(), target_is_directory=True)
    first, last = models[0], models[-1]
    chain = Model(
        run_id=last.run_id, model_id=last.model_id, metadata=last.metadata,
        signature=_signature(first, last),
        saved_input_example_info=_example(folder, members[0], first),
    )  # fmt: skip
    names = {MEMBERS: [member.name for member in members]}
    pyfunc.add_to_model(chain, loader_module=LOADER, data=".", **names)
    chain.save(str(folder / "MLmodel"))


def _check_fit(members: Sequence[Member], models: Sequence[Model]) -> None:
    signatures = [model.signature.to_dict() if model.signature else None for model in models]
    names = [member.name for member in members]
    if reason := first_misfit(list(zip(names, signatures, strict=True))):
        raise ChainMisfit(reason)


def _signature(first: Model, last: Model) -> ModelSignature | None:
    """Return the inputs of the first stage with the outputs and the parameters of the model."""
    outputs = last.signature.outputs if last.signature else None
    params: Any = last.signature.params if last.signature else None
    if first.signature is None:
        return ModelSignature(None, outputs, params) if outputs or params else None
    signature: ModelSignature = copy.copy(first.signature)  # with what it says of type hints
    signature.outputs, signature.params = outputs, params
    return signature


def _example(folder: Path, member: Member, first: Model) -> dict[str, Any] | None:
    """Link the files of the first stage's input example, and return MLflow's notes of it."""
    noted: dict[str, Any] | None = first.saved_input_example_info
    for key in _EXAMPLE_FILES:
        source = member.folder / str((noted or {}).get(key) or "")
        if source.is_file():
            (folder / source.name).symlink_to(source.absolute())
    return noted
