"""Mistakes that are told before anything starts."""

import subprocess
from pathlib import Path

import pytest

from cloche.serving.errors import SettingsError
from cloche.serving.server.preflight import check
from cloche.serving.settings import Settings


def settings(folder: Path, **options: object) -> Settings:
    given = {"models": ("models:/a@production",), "cache_directory": folder / "cache"} | options
    return Settings(**given)


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate, its key, another key, one with a passphrase, and garbage."""
    folder = tmp_path_factory.mktemp("pem")
    for line in (
        "req -x509 -newkey rsa:2048 -nodes -subj /CN=x -days 1 -keyout key -out certificate",
        "genrsa -out other 2048",
        "genrsa -aes256 -passout pass:secret -out encrypted 2048",
    ):
        subprocess.run(["openssl", *line.split()], cwd=folder, check=True, capture_output=True)
    (folder / "garbage").write_text("no PEM")
    return folder


def test_the_models_are_told_when_nothing_is_wrong(tmp_path: Path, pem: Path) -> None:
    fine = settings(tmp_path, tls_certificate=pem / "certificate", tls_key=pem / "key")
    assert [uri.name for uri in check(fine)] == ["a"]


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("other", "is not the key of"),
        ("encrypted", "without: openssl pkey"),
        ("garbage", "must be PEM files"),
    ],
)
def test_a_key_that_cannot_be_used_is_told(
    tmp_path: Path, pem: Path, key: str, reason: str
) -> None:
    with pytest.raises(SettingsError, match=reason):
        check(settings(tmp_path, tls_certificate=pem / "certificate", tls_key=pem / key))


def test_two_models_of_one_name_need_another(tmp_path: Path) -> None:
    both = ("models:/a@production", "models:/a@canary")
    with pytest.raises(SettingsError, match="NAME=models:/a@production"):
        check(settings(tmp_path, models=both))
    named = settings(tmp_path, models=("models:/a@production", "b=models:/a@canary"))
    assert [uri.name for uri in check(named)] == ["a", "b"]


def test_a_cache_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="--cache-dir"):
        check(settings(tmp_path, cache_directory=tmp_path / "file" / "cache"))


def test_a_grpc_port_needs_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(settings(tmp_path, grpc_port=0))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(SettingsError, match=r"pip install 'cloche\[grpc\]'"):
        check(settings(tmp_path, grpc_port=0))
