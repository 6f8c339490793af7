"""A build step that loads a version as hosts do: `python -m cloche.serving.image.load_check DIR`.

If the load fails, so does the build. The model gets the environment variables that the server in
the image would pass to it, and none of the build's secrets.
"""

import os
import sys
from pathlib import Path

from cloche import launch
from cloche.processes import supervisor
from cloche.processes.child_variables import for_models


def main(artifacts: Path) -> None:
    """Check the digest of a version and load it; exit with code 0 if both succeed, else 1."""
    supervisor.run(lambda: sys.exit(_load(artifacts)), "cloche-trial")


def _load(artifacts: Path) -> int:
    # Imported after the fork by the supervisor, as these modules start threads.
    from cloche.registry.version_digest import digest_tree  # noqa: PLC0415
    from cloche.serving.errors import VersionRefused  # noqa: PLC0415
    from cloche.serving.host.load import LoadRefused, load  # noqa: PLC0415
    from cloche.serving.registry.version_note import read  # noqa: PLC0415

    try:
        note = read(artifacts)
        if note is None or digest_tree(artifacts) != note.digest:
            print(  # noqa: T201
                f"{artifacts}: its files are not those that were pinned. Run cloche build again, "
                "which fetches them anew."
            )
            return 1
        load(artifacts, twin=note.twin, name=note.name, version=note.version)
    except (VersionRefused, LoadRefused) as error:
        print(error)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    launch.restart_with(for_models(os.environ, os.environ.get("CLOCHE_SERVE_HOST_ENV", "").split()))
    main(Path(sys.argv[1]))
