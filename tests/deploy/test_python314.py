"""`make run` on a machine that has Python 3.14 and make, and nothing else of what tests have.

The machine is a release of Debian whose python3 is 3.14, made by debootstrap and entered by chroot.
Nothing of this machine is in it but the network, the copy of the checkout, and pip's settings.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.deploy import debian
from tests.deploy.engine import pip_settings
from tests.shell import free_port

pytestmark = [
    pytest.mark.slow, pytest.mark.breadth, pytest.mark.xdist_group("python314"),
    pytest.mark.timeout(1200),
]  # fmt: skip

ROOT = Path(__file__).parents[2]
SUITE = "forky"
PACKAGES = ["python3", "python3-venv", "ca-certificates", "make"]
CHECKOUT = "내 work/src"  # with a space, and letters of another alphabet
NEEDED = ("debootstrap", "unshare", "chroot")

# Processes and mounts end with the command.
_ENTER = """
root=$1; checkout=$2; shift 2
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
mount -t tmpfs tmpfs "$root/tmp"
exec chroot "$root" env --ignore-environment --chdir="/$checkout" "$@"
"""


@dataclass(frozen=True)
class Machine:
    """A file system to change the root to, with the checkout in a folder that has a space."""

    root: Path

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command as a user of that machine, in the checkout."""
        variables = {
            "PATH": f"/{CHECKOUT}/.venv/bin:/usr/bin:/bin", "HOME": "/root", "LANG": "C.UTF-8",
            "SSL_CERT_FILE": "/etc/pip.ca.pem",  # uv does not read pip's settings
        }  # fmt: skip
        variables |= {
            name: value
            for name, value in os.environ.items()
            if name.startswith("UV_") or name.lower().endswith("_proxy")
        }
        given = [f"{name}={value}" for name, value in variables.items()]
        enter = [
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "sh",
            "-euc",
            _ENTER,
            "sh",
        ]
        return subprocess.run(
            [*enter, self.root, CHECKOUT, *given, *command],
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """The machine, with an empty home."""
    missing = [tool for tool in NEEDED if shutil.which(tool) is None]
    if missing or os.geteuid() != 0:
        pytest.skip("run as root after: apt-get install --yes debootstrap")
    folder = tmp_path_factory.mktemp("python314")
    try:
        archive = debian.base(SUITE, "python3-make", PACKAGES, folder)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"Debian {SUITE} cannot be had: {(error.stdout or error.stderr)[-300:]}")
    root = folder / "root"
    (root / CHECKOUT).mkdir(parents=True, exist_ok=True)
    subprocess.run(["tar", "--extract", "--file", archive, "--directory", root], check=True)
    _copy_checkout(root / CHECKOUT)
    settings, certificates = pip_settings()
    (root / "etc" / "pip.conf").write_text(settings)
    default = root / "etc" / "ssl" / "certs" / "ca-certificates.crt"
    shutil.copy(certificates or default, root / "etc" / "pip.ca.pem")
    shutil.copy("/etc/resolv.conf", root / "etc")
    machine = Machine(root)
    version = machine.run("python3", "--version").stdout.strip()
    if not version.startswith("Python 3.14."):
        pytest.skip(f"python3 of Debian {SUITE} is {version} by now")
    yield machine
    subprocess.run(["rm", "-rf", "--one-file-system", root], check=True)


def _copy_checkout(place: Path) -> None:
    """What a clone would have, with changes that are not committed yet."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in names.splitlines():
        if (ROOT / name).exists():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, place / name, follow_symlinks=False)


@pytest.fixture(scope="module")
def brought_up(machine: Machine) -> subprocess.CompletedProcess[str]:
    """`make run`, with a small recipe, which ends after one request and one batch."""
    ports = f"--port {free_port()} --ui-port {free_port()}"
    return machine.run("make", "run", f"UP=breast-cancer --check {ports}")


def test_make_run_installs_trains_promotes_and_serves(brought_up):
    assert brought_up.returncode == 0, brought_up.stdout + brought_up.stderr
    *_, online, batch = brought_up.stdout.splitlines()
    assert online.startswith('online  {"predictions": [{"prediction": 0, "probability": 0.00')
    assert batch.startswith("batch   143 rows")


def test_nothing_warns(brought_up):
    told = brought_up.stdout + brought_up.stderr
    assert "warning" not in told.lower(), told


def test_every_step_is_told_before_it_begins(brought_up):
    told = [line for line in brought_up.stdout.splitlines() if line.startswith("Installing")]
    assert [line.partition(":")[0] for line in told] == [
        f"Installing, {step} of 4" for step in (1, 2, 3, 4)
    ]


@pytest.mark.usefixtures("brought_up")
def test_only_what_runs_is_installed(machine):
    assert machine.run("python", "-c", "import mlflow, onnxruntime, skl2onnx").returncode == 0
    assert machine.run("python", "-c", "import pytest").returncode != 0
