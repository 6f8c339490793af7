"""A model and the stages before it as one MLflow model, for what scores tables in one process.

Servers give each stage its own processes. Batch jobs, Spark and the gate load one MLflow model from
a folder: `write_chain` writes such a folder for several versions, whose signature has the inputs of
the first stage and the outputs of the model. MLflow loads it with `serving/host/stage_chain.py`.
"""

import copy
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from mlflow import pyfunc
from mlflow.models import Model, ModelSignature

from cloche.registry.installed_packages import python_version
from cloche.registry.stage_fit import first_misfit

# The only way from training to serving, which import-linter cannot see: MLflow imports the module
# by this name where a chain is loaded, also in the gate's probe, and calls its `_load_pyfunc`.
LOADER = "cloche.serving.host.stage_chain"
_REQUIREMENTS = "requirements.txt"
_MODULES = (".py", ".so")  # suffixes of files that are imported
_BYTECODE = "__pycache__"
_MEMBERS = "members"  # the key of the versions' names in the chain's MLmodel
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
        ChainMisfit: The versions do not fit each other, or cannot share a process.
    """
    models = [Model.load(str(member.folder)) for member in members]
    _check_fit(members, models)
    _check_code(members, models)
    folder.mkdir(parents=True, exist_ok=True)
    for place, member in enumerate(members):
        (folder / str(place)).symlink_to(member.folder.absolute(), target_is_directory=True)
    python_env = _write_requirements(folder, members)
    first, last = models[0], models[-1]
    chain = Model(
        run_id=last.run_id, model_id=last.model_id, metadata=last.metadata,
        signature=_signature(first, last),
        saved_input_example_info=_example(folder, members[0], first),
    )  # fmt: skip
    names = {_MEMBERS: [member.name for member in members]}
    pyfunc.add_to_model(chain, loader_module=LOADER, data=".", python_env=python_env, **names)
    chain.save(str(folder / "MLmodel"))


def member_folders(chain: Path) -> list[Path]:
    """Return the folders of the versions of a chain, in order."""
    places = sorted(int(one.name) for one in chain.iterdir() if one.name.isdecimal())
    # MLflow refuses files that a link leads to
    return [(chain / str(place)).resolve() for place in places]


def member_names(chain: Path) -> list[str]:
    """Return the names of the versions of a chain, in order."""
    return list(Model.load(str(chain)).flavors[pyfunc.FLAVOR_NAME][_MEMBERS])


def check_pythons(chain: Path) -> None:
    """Check that one environment fits all versions of a chain.

    Raises:
        ChainMisfit: The versions were logged with different Pythons.
    """
    pythons = [python_version(folder) for folder in member_folders(chain)]
    if len(set(pythons)) > 1:
        logged = ", ".join(map("{} with Python {}".format, member_names(chain), pythons))
        raise ChainMisfit(
            f"No environment fits all of its versions: {logged}. Log them with the same Python, "
            "or leave --env-manager out."
        )


def _check_fit(members: Sequence[Member], models: Sequence[Model]) -> None:
    signatures = [model.signature.to_dict() if model.signature else None for model in models]
    names = [member.name for member in members]
    if reason := first_misfit(list(zip(names, signatures, strict=True))):
        raise ChainMisfit(reason)


def _check_code(members: Sequence[Member], models: Sequence[Model]) -> None:
    """Refuse versions of which one would import the other's code: a process has each module once.

    Raises:
        ChainMisfit: Two versions bring different modules of the same name.
    """
    brought = [_code(member, model) for member, model in zip(members, models, strict=True)]
    for (one, mine), (other, theirs) in itertools.combinations(
        zip(members, brought, strict=True), 2
    ):
        for name in sorted(mine.keys() & theirs.keys()):
            if not _same(mine[name], theirs[name]):
                raise ChainMisfit(
                    f"{one.name} and {other.name} both bring code named {name!r}, and it differs, "
                    "so that they cannot score in one process. Log one of them with another name."
                )


def _code(member: Member, model: Model) -> dict[str, Path]:
    """Return what a version brings: modules and packages by their name for imports, and files."""
    flavor: dict[str, Any] = model.flavors.get(pyfunc.FLAVOR_NAME, {})
    code = member.folder / str(flavor.get(pyfunc.CODE) or "code")
    if not code.is_dir():
        return {}
    return {
        one.name.partition(".")[0] if one.is_dir() or one.suffix in _MODULES else one.name: one
        for one in code.iterdir()
        if one.name != _BYTECODE
    }


def _same(one: Path, other: Path) -> bool:
    return _contents(one) == _contents(other)


def _contents(path: Path) -> dict[str, bytes]:
    """Return the files of a module or package; its code may read those that are no code."""
    files = [path] if path.is_file() else path.rglob("*")
    return {
        str(one.relative_to(path)): one.read_bytes()
        for one in files
        if one.is_file() and _BYTECODE not in one.parts
    }


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


def _write_requirements(folder: Path, members: Sequence[Member]) -> str:
    """Write the requirements of all versions together, and return the file with the environment."""
    lines: dict[str, None] = {}  # a set in order
    for place, member in enumerate(members):
        file = member.folder / _REQUIREMENTS
        for line in file.read_text().splitlines() if file.is_file() else ():
            names_file = line.strip() and (member.folder / line.strip()).is_file()
            lines[f"{place}/{line.strip()}" if names_file else line] = None
    (folder / _REQUIREMENTS).write_text("\n".join(lines) + "\n")
    stated = {
        "python": python_version(members[-1].folder),
        "dependencies": [f"-r {_REQUIREMENTS}"],
    }
    file = folder / "python_env.yaml"
    file.write_text(yaml.safe_dump(stated))
    return file.name
