"""The Python environment of each contender.

A contender with a file in `benchmarks/requirements` gets its own environment, which has the model's
libraries in the versions that trained the models. The other contenders run in Cloche's environment.
"""

import hashlib
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Final

from benchmarks.errors import NotBuilt

REQUIREMENTS: Final = Path(__file__).with_name("requirements")
_LIBRARIES = ("mlflow", "numpy", "pandas", "scikit-learn", "scipy", "skops")


def python_of(contender: str, root: Path) -> Path:
    """Return the interpreter for a contender, and make its environment if it does not exist.

    Args:
        contender: The name of the contender.
        root: The folder of environments, which are named by a hash of their requirements.

    Raises:
        NotBuilt: The installer failed.
    """
    file = REQUIREMENTS / f"{contender}.txt"
    if not file.exists():
        return Path(sys.executable)
    requirements = file.read_text().splitlines()
    return environment_of(contender, [*requirements, *_model_libraries()], root)


def environment_of(name: str, requirements: list[str], root: Path) -> Path:
    """Return the interpreter of an environment, which is made if it does not exist.

    Raises:
        NotBuilt: The installer failed.
    """
    folder = root / f"{name}-{content_key(requirements)}"
    python = folder / "bin" / "python"
    done = folder / "complete"
    if not done.exists():
        print(f"making the environment of {name}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        _uv("venv", "--python", sys.executable, str(folder))
        listed = folder / "requirements.txt"
        listed.write_text("\n".join(requirements))
        _uv("pip", "install", "--compile-bytecode", "--python", str(python), "-r", str(listed))
        done.touch()
    return python


def versions(contender: str) -> str:
    """Return the pinned versions of a contender's own packages, as a text for the report."""
    file = REQUIREMENTS / f"{contender}.txt"
    if file.exists():
        return ", ".join(re.findall(r"^([\w-]+==[^\s;#]+)", file.read_text(), re.MULTILINE))
    names = {"mlflow": ("mlflow",), "fastapi": ("fastapi",), "echo": ("uvicorn",)}
    pins = names.get(contender, ("cloche",))
    return ", ".join(f"{name}=={metadata.version(name)}" for name in pins)


def content_key(parts: list[str]) -> str:
    """Return a short hash of these texts and of the Python version."""
    text = "\0".join([sys.version, *parts])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _model_libraries() -> list[str]:
    return [f"{name}=={metadata.version(name)}" for name in _LIBRARIES]


def _uv(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "uv", "--quiet", *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise NotBuilt(f"uv {arguments[0]} failed: {done.stderr.strip()[-2000:]}")
