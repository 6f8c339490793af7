"""A build step that installs packages: `python -m cloche.serving.image.install_requirements DIR`.

It installs only the version's requirements that are missing, and changes no installed package, as
Cloche was tested with those. The image has no pip: the step makes one with `venv`, and removes it.
"""

import os
import subprocess
import sys
import tempfile
import venv
from importlib.metadata import distributions
from pathlib import Path

from cloche.processes.child_variables import for_builds
from cloche.registry.installed_packages import missing_packages


def main(artifacts: Path) -> int:
    """Install the missing requirements of a version; return pip's exit code."""
    wanted = missing_packages(artifacts)
    if not wanted:
        return 0
    with tempfile.TemporaryDirectory() as folder:
        tools = Path(folder) / "tools"
        venv.create(tools, with_pip=True)
        kept = Path(folder) / "kept.txt"
        kept.write_text("".join(f"{one.name}=={one.version}\n" for one in distributions()))
        command = [
            *(str(tools / "bin" / "python"), "-m", "pip", "--python", sys.executable),
            *("install", "--no-cache-dir", "--constraint", str(kept), *wanted),
        ]
        variables = for_builds(os.environ)
        return subprocess.run(command, env=variables, check=False).returncode  # noqa: S603


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
