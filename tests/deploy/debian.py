"""Base systems of Debian, made by debootstrap from Debian's packages, once for all sessions."""

import subprocess
from pathlib import Path

from tests.apart import CACHE

# What a base system has of a session that made it, and nobody needs.
_UNNEEDED = ("./dev/*", "./var/cache/apt/archives/*", "./var/lib/apt/lists/*")
# A release that debootstrap is older than is made as the unstable one is.
_SCRIPTS = {"trixie": "sid", "forky": "sid"}


def base(suite: str, name: str, packages: list[str], folder: Path) -> Path:
    """An archive with a base system.

    Args:
        suite: the release of Debian.
        name: of the archive.
        packages: what it has beside the least.
        folder: where it is made if it is not there.

    Raises:
        CalledProcessError: the release, or a package of it, cannot be had.
    """
    archive = CACHE / f"{suite}-{name}.tar"
    if archive.exists():
        return archive
    CACHE.mkdir(parents=True, exist_ok=True)
    tree = folder / suite
    wanted = ["--variant=minbase", f"--include={','.join(packages)}", suite, str(tree)]
    default_mirror = ""
    subprocess.run(
        ["debootstrap", *wanted, default_mirror, _SCRIPTS[suite]],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    fresh = archive.with_suffix(".fresh")
    packed = ["tar", "--create", "--file", fresh, "--directory", tree]
    subprocess.run([*packed, *(f"--exclude={one}" for one in _UNNEEDED), "."], check=True)
    subprocess.run(["rm", "-rf", "--one-file-system", tree], check=True)
    fresh.rename(archive)
    return archive
