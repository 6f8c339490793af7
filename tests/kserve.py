"""KServe's Python package in an environment of its own: its libraries are not those of Cloche."""

import fcntl
import subprocess
import sys
from pathlib import Path

VERSION = "0.21.0"
_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
_PLACE = Path("~/.cache/cloche-tests").expanduser() / f"kserve-{VERSION}-python{_PYTHON}"


def python() -> Path:
    """The interpreter that has it; installed once for all sessions, in a minute."""
    _PLACE.mkdir(parents=True, exist_ok=True)
    ready, interpreter = _PLACE / "ready", _PLACE / "bin" / "python"
    with (_PLACE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several tests may want it at the same time
        if not ready.exists():
            subprocess.run([sys.executable, "-m", "venv", _PLACE], check=True)
            pip = [interpreter, "-m", "pip", "install", "--quiet"]
            subprocess.run([*pip, f"kserve=={VERSION}"], check=True)
            ready.touch()
    return interpreter


def models() -> Path:
    """The modules with the types of its objects, to be read as text."""
    python()
    return _PLACE / "lib" / f"python{_PYTHON}" / "site-packages" / "kserve" / "models"
