"""In a build, add what a version needs: `python -m cloche.serving.image.install_requirements DIR`.

Only packages that are not there at all, and none that is there is changed: Cloche runs with what it
was tested with. pip is not part of the image; it comes from the interpreter, and goes again.
"""

import os
import subprocess
import sys
import tempfile
import venv
from importlib.metadata import distributions
from pathlib import Path

from cloche.processes.child_variables import for_builds
from cloche.registry.installed_packages import absent


def main(artifacts: Path) -> int:
    """Install them; the exit code is pip's."""
    wanted = absent(artifacts)
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
