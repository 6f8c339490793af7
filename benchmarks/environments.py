"""The Python environment of each contender.

One that has a file in `benchmarks/requirements` gets an environment of its own, with the model's
libraries in exactly the versions that trained the models; the others run in Cloche's.
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
    """The interpreter for a contender, after its environment was made, if it was not there.

    Args:
        contender: Its name.
        root: Where environments are kept, by content.

    Raises:
        NotBuilt: The installer failed.
    """
    file = REQUIREMENTS / f"{contender}.txt"
    if not file.exists():
        return Path(sys.executable)
    wanted = [file.read_text(), *_model_libraries()]
    folder = root / f"{contender}-{content_key(wanted)}"
    python = folder / "bin" / "python"
    done = folder / "complete"
    if not done.exists():
        print(f"making the environment of {contender}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        _uv("venv", "--python", sys.executable, str(folder))
        _uv(
            "pip",
            "install",
            "--compile-bytecode",
            "--python",
            str(python),
            "-r",
            str(file),
            *_model_libraries(),
        )
        done.touch()
    return python


def versions(contender: str) -> str:
    """What a contender's own requirements pin, to be read by people."""
    file = REQUIREMENTS / f"{contender}.txt"
    if file.exists():
        return ", ".join(re.findall(r"^([\w-]+==[^\s;#]+)", file.read_text(), re.MULTILINE))
    names = {"mlflow": ("mlflow",), "fastapi": ("fastapi",), "echo": ("uvicorn",)}
    pins = names.get(contender, ("cloche",))
    return ", ".join(f"{name}=={metadata.version(name)}" for name in pins)


def content_key(parts: list[str]) -> str:
    """A short name for exactly these texts on this Python."""
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
