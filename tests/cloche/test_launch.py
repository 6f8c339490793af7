"""How our processes start."""

import subprocess
import sys

WINDOWS = "import os, runpy; os.name = 'nt'; runpy.run_module('cloche', run_name='__main__')"


def test_on_windows_the_command_says_where_it_runs() -> None:
    """There is no Windows here; the first thing that the command asks is the name of the system."""
    ended = subprocess.run(
        [sys.executable, "-c", WINDOWS], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("Cloche runs on Linux and macOS. On Windows, run it in WSL")
    assert "Traceback" not in ended.stderr
