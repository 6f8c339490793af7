"""The kept proof of a twin: the next job begins with the twin alone, and gives the same bytes."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cloche.serving.batch import version_pinning
from cloche.serving.batch.job.pinned_job import PinnedVersion
from cloche.serving.batch.scoring import kept_proofs
from cloche.serving.batch.scoring.kept_proofs import KeptProofs
from cloche.serving.batch.scoring.local_engine import LocalEngine
from cloche.serving.errors import JobFailed
from tests import warm
from tests.serving.host.twins import at_the_threshold, fitted, save

pytestmark = pytest.mark.xdist_group("batch")

SURE = [[0.5, 30, "red"], [-0.5, 60, "blue"], [1.5, 20, "green"]]
UNSURE = at_the_threshold(fitted(), 0.0)


@pytest.fixture
def version(tmp_path: Path) -> PinnedVersion:
    """A version with a twin, outside any registry."""
    path = save(fitted(), tmp_path / "version")
    return version_pinning.pin(str(path), tmp_path / "cache")


@pytest.fixture
def proofs(tmp_path: Path) -> KeptProofs:
    return KeptProofs(tmp_path / "cache")


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., LocalEngine]]:
    """Engines with one worker, whose processes are forks of the warm one."""
    monkeypatch.setattr(sys, "executable", warm.python())
    made: list[LocalEngine] = []

    def make(proofs: KeptProofs | None) -> LocalEngine:
        made.append(LocalEngine(1, proofs=proofs))
        return made[-1]

    yield make
    for one in made:
        one.__exit__()


def rows(*values: Sequence[Any]) -> Path:
    pd.DataFrame(values, columns=["dose", "age", "word"]).to_csv("rows.csv", index=False)
    return Path("rows.csv")


def break_model(path: str) -> None:
    for file in Path(path).glob("model.*"):
        file.write_bytes(b"")


def test_the_first_job_keeps_the_proof_and_the_next_has_the_same_bytes(
    local, proofs, version, score
):
    """Of the second job's parts, one is the twin's, one has a row for the model, one a bad row."""
    source = rows(*SURE, *SURE[:2], UNSURE, *SURE[:2], [0.5, "old", "red"])
    given = {"model": version.path, "part_rows": 3}
    compared = score(source, "compared.csv", engine=local(proofs), **given)
    assert proofs.has(version)
    alone = score(source, "alone.csv", engine=local(proofs), **given)
    for end in ("csv", "csv.quarantine.jsonl"):
        assert Path(f"alone.{end}").read_bytes() == Path(f"compared.{end}").read_bytes()
    assert (
        alone.manifest["predictors"] == compared.manifest["predictors"] == {"onnx": 7, "pyfunc": 1}
    )


def test_with_a_kept_proof_no_model_is_loaded_before_a_row_needs_it(local, proofs, version, score):
    """The model cannot be loaded: the twin's rows are scored, and one for the model says why."""
    break_model(version.path)
    with pytest.raises(JobFailed, match="cannot be loaded"):
        score(rows(*SURE), "out.csv", model=version.path, engine=local(proofs))
    proofs.keep(version_pinning.pin(version.path, Path("cache")), sufficed=True)
    given = {"model": version.path, "overwrite": True}
    done = score(rows(*SURE), "out.csv", engine=local(proofs), **given)
    assert done.manifest["predictors"] == {"onnx": 3, "pyfunc": 0}
    with pytest.raises(JobFailed, match="The version cannot be loaded: "):
        score(rows(*SURE, UNSURE), "out.csv", engine=local(proofs), **given)


def test_a_proof_holds_for_what_it_was_made_with(proofs, version, monkeypatch):
    proofs.keep(version, sufficed=True)
    assert proofs.has(version)
    with monkeypatch.context() as patch:
        patch.setattr(kept_proofs, "_installed", lambda package: f"another {package}")
        assert not proofs.has(version)
    with monkeypatch.context() as patch:
        patch.setattr(kept_proofs, "_CPU", Path("cpu"))
        Path("cpu").write_text("flags\t\t: mmx\n")
        assert not proofs.has(version)
    with monkeypatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "7")
        assert not proofs.has(version)
    Path(version.path, "onnx", "model.onnx").write_bytes(b"altered")
    assert not proofs.has(version)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"facts": {}}', "9" * 100_000])
def test_a_file_that_is_no_proof_is_none(proofs, version, tmp_path, content):
    proofs.keep(version, sufficed=True)
    (file,) = (tmp_path / "cache" / "proofs").iterdir()
    file.write_text(content)
    assert not proofs.has(version)
    assert not proofs.sufficed_for(version.uri)
    proofs.keep(version, sufficed=True)
    assert proofs.has(version)


def test_a_cache_that_cannot_be_written_keeps_nothing(version, tmp_path):
    (tmp_path / "file").write_text("")
    proofs = KeptProofs(tmp_path / "file")
    proofs.keep(version, sufficed=True)
    assert not proofs.has(version)
    assert not proofs.sufficed_for(version.uri)


def test_few_proofs_are_kept_and_only_their_owner_reads_them(
    proofs, version, tmp_path, monkeypatch
):
    monkeypatch.setattr(kept_proofs, "_KEPT", 2)
    for number in range(4):
        monkeypatch.setenv("OMP_NUM_THREADS", f"{number}")
        proofs.keep(version, sufficed=number == 3)
    folder = tmp_path / "cache" / "proofs"
    assert folder.stat().st_mode & 0o077 == 0
    assert len(list(folder.iterdir())) == 2
    assert proofs.has(version)


def test_the_last_job_of_a_uri_says_whether_the_twin_sufficed(proofs, version, tmp_path):
    assert not proofs.sufficed_for(version.uri)
    for sufficed in (True, False, True):
        proofs.keep(version, sufficed=sufficed)
        assert proofs.sufficed_for(version.uri) is sufficed
    assert not proofs.sufficed_for("models:/another@production")
    (file,) = (tmp_path / "cache" / "proofs").iterdir()
    assert json.loads(file.read_text())["uri"] == version.uri
