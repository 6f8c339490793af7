"""How our processes start."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from cloche import launch
from tests import advice

WINDOWS = "import os, runpy; os.name = 'nt'; runpy.run_module('cloche', run_name='__main__')"


def test_on_windows_the_command_says_where_it_runs(tmp_path: Path) -> None:
    """There is no Windows here; the first thing that the command asks is the name of the system."""
    ended = subprocess.run(
        [sys.executable, "-c", WINDOWS], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("Cloche runs on Linux and macOS. On Windows, run it in WSL")
    assert "Traceback" not in ended.stderr

    there = tmp_path / "subsystem"  # which the one command installs, and in which the other opens
    opens = f"[ -e {there} ] && exec sh"
    advice.stand_in(tmp_path, "wsl", f'[ "$1" = --install ] && exec touch {there}\n{opens}')
    install, shell = re.findall(r"`(wsl.*?)`", ended.stderr)
    advice.type_it(install, tmp_path)
    started = f"{shlex.quote(sys.executable)} -m cloche --version"
    assert advice.type_it(f"echo {shlex.quote(started)} | {shell}", tmp_path).startswith("cloche ")


@pytest.mark.parametrize("named", ["", "/a", "/a:/b:/a", ":/nowhere", "/nowhere:", "modules", "."])
def test_folders_of_pythonpath_hide_neither_library_nor_installed_modules(
    named: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)  # which an empty entry stands for
    monkeypatch.setenv("PYTHONPATH", named)
    theirs = [str(Path(path).absolute()) for path in named.split(os.pathsep)] if named else []
    installed = [str(Path(os.__file__).parent), "/site-packages"]
    monkeypatch.setattr(sys, "path", [*theirs, *installed])
    launch.order_path()
    assert sys.path == [*installed, *dict.fromkeys(theirs)]
