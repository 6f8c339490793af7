"""What is planted among the files of a promoted version is refused, or never run."""

import importlib.util
import os
import py_compile
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from cloche.registry.version_digest import digest_tree
from cloche.serving.errors import ServingError, VersionRefused
from cloche.serving.registry import version_note
from cloche.serving.registry.cache import Cache
from cloche.serving.registry.fetch import fetch
from cloche.serving.registry.resolver import Resolver
from cloche.serving.registry.uri import parse
from cloche.training.gate.fetched_version import fetch as fetch_candidate
from tests.shelf import empty_store
from tests.stores import stores

EVIL = "SAYS = 'planted'\n"
FILES = {
    "MLmodel": "flavors: {}\n",
    "conda.yaml": "dependencies: [python=3.11]\n",
    "requirements.txt": "mlflow==3.17.0\n",
    "code/logged.py": "SAYS = 'logged '\n",
}


def logged(folder: Path) -> Path:
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def said(artifacts: Path) -> str:
    """What the code of a version says when it is imported."""
    spec = importlib.util.spec_from_file_location("logged", artifacts / "code" / "logged.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return str(module.SAYS)


def bytecode(version: Path, target: str) -> None:
    """Bytecode that Python runs without a look at the source beside it."""
    source = version.parent / "evil.py"
    source.write_text(EVIL)
    py_compile.compile(
        str(source), str(version / target),
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )  # fmt: skip


def cached(version: Path) -> None:
    name = importlib.util.cache_from_source("logged.py")
    bytecode(version, f"code/{name}")


def linked_folder(version: Path) -> None:
    outside = version.parent / "outside"
    outside.mkdir()
    (outside / "more.py").write_text(EVIL)
    (version / "code" / "linked").symlink_to(outside)


def linked_file(version: Path) -> None:
    (version.parent / "evil.py").write_text(EVIL)
    (version / "code" / "more.py").symlink_to(version.parent / "evil.py")


def same_size_and_time(version: Path) -> None:
    file = version / "code" / "logged.py"
    before = file.stat()
    file.write_text(EVIL)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_size == before.st_size


def added(name: str) -> Callable[[Path], None]:
    def plant(version: Path) -> None:
        file = version / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(EVIL)

    return plant


def changed(name: str) -> Callable[[Path], None]:
    def plant(version: Path) -> None:
        (version / name).write_text((version / name).read_text() + "# more\n")

    return plant


NEVER_RUN = {
    "bytecode beside its source": cached,
    "a module in a folder of bytecode": added("code/__pycache__/more.py"),
    "a folder of bytecode that is a file": added("code/__pycache__"),
    "an empty folder": lambda version: (version / "code" / "empty").mkdir(),
}
REFUSED = {
    "bytecode without source": lambda version: bytecode(version, "code/more.pyc"),
    "bytecode in place of its source": lambda version: bytecode(version, "code/logged.pyc"),
    "an extension module": added("code/logged.cpython-311-x86_64-linux-gnu.so"),
    "a .pth file": added("code/evil.pth"),
    "a hidden file": added(".hidden"),
    "a hidden folder": added("code/.hidden/more.py"),
    "a package": added("code/logged/__init__.py"),
    "data beside a twin": added("onnx/model.onnx.data"),
    "a note further down": added("code/registered_model_meta"),
    "a linked file": linked_file,
    "a linked folder": linked_folder,
    "the same size and time": same_size_and_time,
    "the description": changed("MLmodel"),
    "conda.yaml": changed("conda.yaml"),
    "requirements.txt": changed("requirements.txt"),
    "a file that is gone": lambda version: (version / "code" / "logged.py").unlink(),
}
# A registry's version is fetched by MLflow, an image's copied: links, and a plant of each sort.
FETCHED = ("a linked file", "a linked folder", "a .pth file", "bytecode beside its source")


@pytest.mark.parametrize(
    ("plant", "refused", "where"),
    [
        pytest.param(
            plant, name in REFUSED, where, id=f"{name}-{where}",
            marks=[pytest.mark.breadth] if where == "registry" and name not in FETCHED else [],
        )
        for name, plant in (REFUSED | NEVER_RUN).items()
        for where in ("registry", "image")
    ],
)  # fmt: skip
def test_what_is_planted_is_refused_or_never_run(
    tmp_path: Path, plant: Callable[[Path], None], refused: bool, where: str
) -> None:
    version = logged(tmp_path / "version")
    digest = digest_tree(version)
    with stores(f"sqlite:///{tmp_path}/mlflow.db"):
        if where == "registry":
            shutil.copy(empty_store(), tmp_path / "mlflow.db")
            client = MlflowClient()
            client.create_registered_model("m")
            client.create_model_version("m", source=str(version))
            client.set_model_version_tag("m", "1", "cloche.digest", digest)
        else:
            version_note.Note("m", "1", digest, "").write(version)
        plant(version)
        target = Resolver(MlflowClient).resolve(
            parse("models:/m/1" if where == "registry" else str(version))
        )
        assert target.digest == digest
        cache = Cache(tmp_path / "cache", "")
        if refused:
            # what a link leads out to, MLflow does not download
            with pytest.raises(ServingError, match=r"were altered|outside the artifact directory"):
                fetch(target, cache)
            return
        assert said(fetch(target, cache)) == "logged "
        assert said(fetch(target, cache)) == "logged ", "it has bytecode of its own by now"


def test_the_gate_judges_the_source_and_not_what_lies_beside_it(tmp_path: Path) -> None:
    version = logged(tmp_path / "version")
    digest = digest_tree(version)
    cached(version)
    assert said(version) == "planted", "or the test proves nothing"
    shutil.copy(empty_store(), tmp_path / "mlflow.db")
    (tmp_path / "judged").mkdir()
    with stores(f"sqlite:///{tmp_path}/mlflow.db"):
        client = MlflowClient()
        client.create_registered_model("m")
        found = client.create_model_version("m", source=str(version))
        judged = fetch_candidate(found, tmp_path / "judged").folder
    assert digest_tree(judged) == digest
    assert said(judged) == "logged "


def test_bytecode_behind_a_link_is_refused_and_left_alone(tmp_path: Path) -> None:
    version = logged(tmp_path / "version")
    outside = logged(tmp_path / "outside") / "code"
    cached(tmp_path / "outside")
    (version / "code" / "linked").symlink_to(outside)
    (version / "code" / "itself").symlink_to(version)
    version_note.Note("m", "1", digest_tree(version), "").write(version)
    target = Resolver(MlflowClient).resolve(parse(str(version)))
    with pytest.raises(VersionRefused, match="behind a link"):
        fetch(target, Cache(tmp_path / "cache", ""))
    assert [*outside.rglob("*.pyc")]
