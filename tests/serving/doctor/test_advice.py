"""What the doctor advises about a clock and about packages is typed, and the doctor is content."""

import os
import re
import sqlite3
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.store.db import utils

from cloche.serving.doctor import tracking
from cloche.serving.doctor.check_result import CheckResult
from tests import advice
from tests.broken_servers import Old, answering
from tests.shelf import copy_empty_store
from tests.stores import stores


def test_clocks_that_differ_are_set_by_the_command_that_is_told(tmp_path):
    late = tmp_path / "late"
    late.write_text("90")
    advice.stand_in(tmp_path, "timedatectl", f'[ "$*" = "set-ntp true" ] && echo 0 >{late}')

    def answer(handler: Any, _: bytes) -> None:
        behind = float(late.read_text())
        handler.date_time_string = lambda: format_datetime(
            datetime.now(UTC) - timedelta(seconds=behind), usegmt=True
        )
        handler.reply(404, b"")

    def clock(url: str) -> CheckResult:
        (found,) = tracking._clock_and_version(url)
        return found

    with answering(answer) as url:
        told = clock(url)
        assert re.search(r"this machine's is \d\d s ahead of the server's", told.says)
        command = advice.text_of(r"^(timedatectl [\w -]+) \(on macOS: ", told.fix)
        advice.type_it(command, tmp_path)
        assert clock(url).state == "ok"


def test_a_database_on_a_network_is_left_to_a_server(tmp_path, monkeypatch):
    monkeypatch.setattr(tracking, "_file_system", lambda _: "nfs4")
    copy_empty_store(tmp_path / "mlflow.db")
    with stores(f"sqlite:///{tmp_path}/mlflow.db"):
        told, *_ = tracking.stores()
    assert (told.state, "is on nfs4" in told.says) == ("warn", True)
    variable = advice.text_of(
        r"^mlflow server on one machine, and its URL in (\w+) every", told.fix
    )
    with answering(Old(mlflow.__version__)) as url, stores():
        monkeypatch.setenv(variable, url)
        assert {one.state for one in tracking.stores()} == {"ok"}


def test_tables_of_a_newer_mlflow_are_read_by_the_one_that_is_installed_then(tmp_path, monkeypatch):
    copy_empty_store(tmp_path / "mlflow.db")
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        database.execute("UPDATE alembic_version SET version_num = 'newer'")
        database.commit()
    installed = tmp_path / "installed"
    advice.stand_in(tmp_path, "pip", f'[ "$*" = "install --upgrade mlflow" ] && touch {installed}')
    latest = utils._get_latest_schema_revision
    monkeypatch.setattr(utils, "_get_latest_schema_revision",
                        lambda: "newer" if installed.exists() else latest())  # fmt: skip
    with stores(f"sqlite:///{tmp_path}/mlflow.db"):
        (told,) = tracking.stores()
        newer = r"where the tables are the newer ones: (pip install --upgrade mlflow)$"
        advice.type_it(advice.text_of(newer, told.fix), tmp_path)
        (found,) = tracking.stores()
    assert (told.state, found.state) == ("fail", "ok")


CHECKS = {
    "packages": "found = machine.packages(None)",
    "imports": "found = run_checks._registry(run_checks.Settings(all_with_alias='none'))",
}


@pytest.fixture
def installation(tmp_path: Path) -> Callable[[str], str]:
    """(check) → what the doctor says in an environment that finds its own packages before ours."""
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    ours = sysconfig.get_path("purelib")
    (_site(tmp_path) / "ours.pth").write_text(f"import site; site.addsitedir({ours!r})\n")

    def doctor(check: str) -> str:
        look = (
            f"from cloche.serving.doctor import machine, run_checks\n{CHECKS[check]}\n"
            "print(*(f'{one.state} {one.check}: {one.says} -> {one.fix}' for one in found))"
        )
        done = subprocess.run(
            [environment / "bin" / "python", "-c", look], cwd=tmp_path, env=_without_mlflow(),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    return doctor


def _site(folder: Path) -> Path:
    (site,) = (folder / "environment").glob("lib/python3*/site-packages")
    return site


def _without_mlflow() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}


def _type_pip(told: str, check: str, package: str, folder: Path) -> None:
    """In the environment, as if it were active; the index is a folder with the package of here."""
    command = advice.text_of(rf"fail {check}: .* -> (pip install .*)", told)
    here = metadata.distribution(package)
    with zipfile.ZipFile(folder / f"{package}-{here.version}-py3-none-any.whl", "w") as wheel:
        for file in here.files or ():
            if file.suffix == ".py" or file.name in ("METADATA", "RECORD"):
                wheel.write(here.locate_file(file), file)
        kind = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        wheel.writestr(f"{package}-{here.version}.dist-info/WHEEL", kind)
    python = folder / "environment" / "bin" / "python"
    advice.stand_in(folder, "pip", f'exec {sys.executable} -m pip --python {python} "$@"')
    advice.type_it(command, folder, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(folder))


def _installed(folder: Path, package: str, its_version: str) -> Path:
    """Note a package as installed in the environment; returns where its modules are."""
    site = _site(folder)
    info = site / f"{package}-{its_version}.dist-info"
    info.mkdir()
    about = f"Metadata-Version: 2.1\nName: {package}\nVersion: {its_version}\n"
    (info / "METADATA").write_text(about)
    (info / "RECORD").write_text(f"{package}/__init__.py,,\n")
    (site / package).mkdir()
    (site / package / "__init__.py").touch()
    return site / package


def test_a_package_that_is_too_old_is_installed_by_the_command_that_is_told(installation, tmp_path):
    _installed(tmp_path, "msgspec", "0.1")
    told = installation("packages")
    assert re.search(r"fail packages: cloche .* asks for msgspec\S+ \(installed: 0\.1\)", told)
    _type_pip(told, "packages", "msgspec", tmp_path)
    assert installation("packages").startswith("ok ")


@pytest.mark.breadth  # the gate's test of it has a stand-in of pip
def test_a_package_that_cannot_be_imported_is_installed_anew(installation, tmp_path):
    """As an installation leaves it that was interrupted."""
    module = _installed(tmp_path, "requests", metadata.version("requests"))
    (module / "__init__.py").write_text("from . import sessions")
    told = installation("imports")
    assert "cannot import name 'sessions' from" in told
    _type_pip(told, "imports", "requests", tmp_path)
    assert "imports" not in installation("imports")
