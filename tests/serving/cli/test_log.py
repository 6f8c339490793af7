"""`cloche log`, as people type it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cloche.main import cloche, exit_code, result_code
from cloche.prediction_log.destination import Destination
from cloche.prediction_log.errors import LogError
from tests.cloche.prediction_log.logged import NOON_HOUR, put, read
from tests.serving.sealing.spooled import spool_of
from tests.stores import stores


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Destination:
    """A log of one version and server, which lacks two of ten rows."""
    monkeypatch.delenv("CLOCHE_LOG", raising=False)
    log = Destination.of(str(tmp_path / "log"))
    put(log, "s0", 4)
    put(log, "s1", 4)
    counts = {"model": "m", "version": "7", "hour": NOON_HOUR, "answered": 10, "failed": 0,
              "computed": 10, "logged": 10, "sampled_out": 0}  # fmt: skip
    log.put("counts/5e12-a.json", json.dumps({"server": "5e12", "counts": [counts]}).encode())
    return log


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cloche, ["log", *arguments], standalone_mode=False)


def test_a_check_names_what_is_missing_and_exits_with_5(log: Destination) -> None:
    """By server and hour, for people and as JSON."""
    found = run("check", "--log", log.uri)
    assert result_code(found.return_value) == 5
    first, gap = found.stdout.splitlines()
    assert first == (
        "m version 7: 10 answered, 0 failed, 0 computed and not delivered, 8 in the files, "
        "0 sampled out; 2 are missing."
    )
    assert gap == "m version 7, 2025-12-01 12:00 UTC, server 5e12: 2 rows are missing."
    (sums,) = json.loads(run("check", "m", "--log", log.uri, "--json").stdout)["sums"]
    assert (sums["missing"], sums["in_files"]) == (2, 8)


def test_requests_that_failed_before_a_version_served_are_told_so(log: Destination) -> None:
    """They have no version that could be named."""
    counts = {"model": "m", "version": "", "hour": NOON_HOUR, "answered": 0, "failed": 2,
              "computed": 0, "logged": 0, "sampled_out": 0}  # fmt: skip
    log.put("counts/5e12-b.json", json.dumps({"server": "5e12", "counts": [counts]}).encode())
    assert "m, no version: 0 answered, 2 failed," in run("check", "--log", log.uri).stdout


def test_a_log_that_adds_up_exits_with_0(log: Destination) -> None:
    """Or one of which nothing is asked."""
    put(log, "s2", 2)
    found = run("check", "--log", log.uri)
    assert found.stdout.endswith("it adds up.\n")
    assert result_code(found.return_value) == 0
    assert run("check", "--log", log.uri, "--since", "2025-12-02").stdout == "The log is empty.\n"


def test_the_destination_is_named_by_an_option_a_variable_or_the_models_tag(
    log: Destination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this order; without any the message says which."""
    from mlflow import MlflowClient

    with stores(f"sqlite:///{tmp_path}/m.db"):
        MlflowClient().create_registered_model("m")
        assert isinstance(run("check", "m").exception, LogError)
        MlflowClient().set_registered_model_tag("m", "cloche.log", log.uri)
        assert "2 rows are missing" in run("check", "m").stdout
        monkeypatch.setenv("CLOCHE_LOG", str(tmp_path / "other"))
        assert run("check", "m").stdout == "The log is empty.\n"
        assert "2 rows are missing" in run("check", "m", "--log", log.uri).stdout
    monkeypatch.delenv("CLOCHE_LOG", raising=False)
    refused = run("check").exception
    assert str(refused) == "Name a MODEL, or the log's destination: --log DESTINATION"
    assert refused is not None
    assert exit_code(refused) == 2  # type: ignore[arg-type]


def test_compacting_and_pruning_say_what_they_did(log: Destination) -> None:
    """Again they do nothing."""
    assert run("compact", "--log", log.uri).stdout == "2 files became 1.\n"
    assert run("compact", "m", "--log", log.uri).stdout == "0 files became 0.\n"
    assert run("prune", "--older-than", "99999d", "--log", log.uri).stdout.startswith("0 files")
    assert run("prune", "m", "--older-than", "1d", "--log", log.uri).stdout.startswith("1 files")
    assert len(read(log)) == 0
    assert "like 90d" in str(run("prune", "--older-than", "soon", "--log", log.uri).exception)
    assert "like 2026-11-01" in str(run("check", "--since", "x", "--log", log.uri).exception)


def test_forgetting_a_person_reaches_the_spool_of_this_machine(
    log: Destination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It needs the servers' secret, and names the receipt."""
    from cloche.serving.spool.log_plan import spool_folder
    from cloche.values.keyed_hashes import derived_key, keyed_hash

    monkeypatch.delenv("CLOCHE_LOG_KEY", raising=False)
    arguments = ("forget", "--subject", "ann", "--log", log.uri, "--log-spool", str(tmp_path))
    refused = run(*arguments).exception
    assert str(refused).startswith("CLOCHE_LOG_KEY is not set")
    monkeypatch.setenv("CLOCHE_LOG_KEY", "0123456789abcdef")
    ann = keyed_hash(derived_key(b"0123456789abcdef", "m"), "ann")
    spool = spool_folder(tmp_path, log.uri)
    spool_of(spool, model="m")
    put(log, "s9", 3, subject=[ann, None, ann])
    (spool / "a.unreadable").touch()
    found = run(*arguments)
    (receipt,) = log.files("receipts")
    assert found.stdout == f"2 rows in 1 files were erased: {log.uri}/{receipt.path}\n"
    assert f"Not read, and not erased: {spool}/a.unreadable. Remove them." in found.stderr
    assert list(spool.glob("*.segment")) == []
    assert ann not in read(log)["subject"].to_pylist()
    assert len(read(log)) == 8 + 1 + 40
