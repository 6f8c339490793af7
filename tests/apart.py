"""Programs whose requirements fit beside nobody's, each in an environment of its own.

`python -m tests.apart` makes these, once for all checkouts. Where one is missing, its tests are
skipped; in CI they fail.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_EXAMPLES = Path(__file__).parents[1] / "examples"
PACKAGES = {
    "airflow": "apache-airflow==3.3.2",
    # it allows no pandas 3
    "feast": (_EXAMPLES / "features_by_key" / "requirements.txt").read_text().strip(),
    "kserve": "kserve==0.21.0",
    "mlflow": "mlflow==2.20.3 sqlalchemy<2.1",  # it allows a later one, and cannot use it
    "triton": "tritonclient[grpc,http]==2.73.0",
    "ville": "ville==0.1.0",
}
UV_CACHE = Path("~/.cache/uv").expanduser()  # what it fetched once for all
CACHE = Path("~/.cache/cloche-tests").expanduser()
_UV = [sys.executable, "-m", "uv", "--quiet"]


def programs(name: str) -> Path:
    """The folder with the programs of an environment."""
    place = _place(name)
    if not _ready(place).exists():
        told = f"{name} is not installed: .venv/bin/python -m tests.apart"
        pytest.fail(told) if os.environ.get("CI") else pytest.skip(told)
    return place / "bin"


def install(name: str) -> None:
    """Make an environment, unless it is there."""
    place = _place(name)
    if _ready(place).exists():
        return
    python = str(place / "bin" / "python")
    subprocess.run([*_UV, "venv", "--clear", "--python", sys.executable, place], check=True)
    subprocess.run(
        [*_UV, "pip", "install", "--python", python, *PACKAGES[name].split()], check=True
    )
    _ready(place).touch()


def _place(name: str) -> Path:
    version = PACKAGES[name].split()[0].partition("==")[2]
    return CACHE / f"{name}-{version}-python{sys.version_info.major}.{sys.version_info.minor}"


def _ready(place: Path) -> Path:
    return place / "ready"


if __name__ == "__main__":
    for each in PACKAGES:
        install(each)
