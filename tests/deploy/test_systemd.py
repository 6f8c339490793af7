"""The units of systemd: what it says of them, and what they start, reload and stop."""

import configparser
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cloche.serving.settings import Settings
from tests.deploy.conftest import DEPLOY
from tests.lifecycle.registry import Registry
from tests.online import serving
from tests.shell import program

UNITS = DEPLOY / "systemd"
PROGRAMS = "/srv/cloche/bin/"


@pytest.fixture(scope="module")
def analyze() -> str:
    for name, package in {"kill": "procps", "systemd-analyze": "systemd"}.items():
        program(name, package)
    return "systemd-analyze"


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units, with their programs where this machine has them."""
    shutil.copy(Path(sys.executable).parent / "cloche", tmp_path)
    shutil.copy(DEPLOY / "daily" / "score-day", tmp_path)
    for unit in UNITS.iterdir():
        (tmp_path / unit.name).write_text(unit.read_text().replace(PROGRAMS, f"{tmp_path}/"))
    return tmp_path


def read(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[method-assign, assignment]
    parser.read_string((UNITS / name).read_text())
    return parser


@pytest.mark.parametrize(
    "unit", ["cloche-serve.service", "cloche-score.service", "cloche-score.timer"]
)
def test_systemd_has_nothing_to_say_against_a_unit(analyze: str, units: Path, unit: str):
    done = subprocess.run(
        [analyze, "verify", "--man=no", units / unit], capture_output=True, text=True, check=False
    )

    ours = [line for line in done.stderr.splitlines() if "cloche" in line]
    assert (done.returncode, ours) == (0, [])


@pytest.mark.parametrize("unit", ["cloche-serve.service", "cloche-score.service"])
def test_systemd_calls_what_a_service_may_do_little(analyze: str, unit: str):
    done = subprocess.run(
        [analyze, "security", "--offline=true", "--threshold=20", UNITS / unit],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout.splitlines()[-1]


def test_a_server_has_longer_to_stop_than_its_requests_have():
    service = read("cloche-serve.service")["Service"]
    assert int(service["TimeoutStopSec"]) > Settings(all_with_alias="production").drain_timeout


@pytest.mark.slow
def test_what_the_unit_starts_reloads_and_stops_as_the_unit_says(tmp_path: Path):
    service = read("cloche-serve.service")["Service"]
    registry = Registry(tmp_path)
    registry.register("", "", promote=True)
    line = service["ExecStart"].replace("$MODELS", "models:/m@production")
    program, *words = shlex.split(line)
    variables = dict(one.split("=") for one in service["Environment"].split())
    assert program == f"{PROGRAMS}cloche"

    with serving(
        "--poll-interval", "600", directory=tmp_path, command=[*words, "--port", "0"],
        environment={**variables, "XDG_CACHE_HOME": str(tmp_path),
                     "MLFLOW_TRACKING_URI": registry.uri},
    ) as server:  # fmt: skip
        server.wait_until_ready()
        registry.promote("2")
        _, name, _ = service["ExecReload"].split()
        server.process.send_signal(getattr(signal, f"SIG{name.removeprefix('-')}"))
        server.wait_for_version("2")

        assert server.end(getattr(signal, service["KillSignal"])) == 0
