"""Mistakes that are told before anything starts."""

from pathlib import Path

import pytest

from cloche.serving.errors import ModelUriError, SettingsError
from cloche.serving.server.preflight import check
from cloche.serving.settings import Settings


def settings(folder: Path, **options: object) -> Settings:
    given = {"models": ("models:/a@production",), "cache_directory": folder / "cache"} | options
    return Settings(**given)


def test_the_models_are_told_when_nothing_is_wrong(tmp_path: Path, pem: Path) -> None:
    models = ("models:/a@production", "b=models:/a@canary")
    tls = {"tls_certificate": pem / "certificate", "tls_key": pem / "key"}
    assert [uri.name for uri in check(settings(tmp_path, models=models, **tls))] == ["a", "b"]


def test_a_stage_is_told_with_the_model_or_refused_by_its_option(tmp_path: Path) -> None:
    (uri,) = check(settings(tmp_path, before="features=models:/s@production"))
    assert uri.before == "features=models:/s@production"
    assert check(settings(tmp_path, before="none"))[0].before == "none"
    with pytest.raises(ModelUriError, match="--before nonsense: there is no such folder"):
        check(settings(tmp_path, before="nonsense"))


@pytest.mark.parametrize(
    ("key", "reason"), [("other", "is not the key of"), ("garbage", "must be PEM files")]
)
def test_a_key_that_cannot_be_used_is_told(
    tmp_path: Path, pem: Path, key: str, reason: str
) -> None:
    with pytest.raises(SettingsError, match=reason):
        check(settings(tmp_path, tls_certificate=pem / "certificate", tls_key=pem / key))


def test_a_grpc_port_needs_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(settings(tmp_path, grpc_port=0))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(SettingsError, match=r"pip install 'cloche\[grpc\]'"):
        check(settings(tmp_path, grpc_port=0))


@pytest.mark.parametrize(
    ("mistake", "reason", "mended"),
    [
        (
            {"log_inputs": ("a",), "log_hash": ("a",)},
            "--log-hash needs a secret of at least 16 characters in the variable CLOCHE_LOG_KEY",
            {"log_key": "x" * 16},
        ),
        (
            {"log_subject": "who", "log_key": "short"},
            "--log-subject needs a secret",
            {"log_key": "x" * 16},
        ),
        (
            {"log_inputs": ("a",), "log_hash": ("a", "b"), "log_key": "x" * 16},
            "--log-hash names b, and --log-inputs does not",
            {"log_inputs": ("a", "b")},
        ),
        ({"log_sample": 0.0}, "--log-sample 0: the share must be above 0", {"log_sample": 0.5}),
        ({"log_sample": 1.5}, "--log-sample 1.5: the share must be above 0", {"log_sample": 1.0}),
        (
            {"log_promise": "ever"},
            "--log-promise ever: there is no such promise. Choose one of best-effort, process",
            {"log_promise": "machine"},
        ),
    ],
)  # fmt: skip
def test_a_log_that_cannot_be_kept_as_wanted_is_told(
    tmp_path: Path, mistake: dict[str, object], reason: str, mended: dict[str, object]
) -> None:
    log = {"log": str(tmp_path / "log")}
    with pytest.raises(SettingsError, match=reason):
        check(settings(tmp_path, **log, **mistake))
    check(settings(tmp_path, **log, **mistake | mended))
    check(settings(tmp_path, **mistake))  # without a log it matters to nobody


def test_a_spool_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    given = {"log": str(tmp_path / "log"), "log_spool": tmp_path / "file"}
    with pytest.raises(SettingsError, match=r"--log-spool .*: Not a directory. Choose another"):
        check(settings(tmp_path, **given))
    check(settings(tmp_path, **given | {"log_spool": tmp_path / "spool"}))
    (note,) = (tmp_path / "spool").glob("*/destination.txt")
    assert note.read_text() == given["log"]
    assert note.parent.stat().st_mode & 0o777 == 0o700
