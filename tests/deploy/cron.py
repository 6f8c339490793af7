"""Debian's cron itself, which runs a crontab of a test in a file system view of its own."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

INSTALL = "apt-get install --yes --no-install-recommends cron"

# What cron sees in these places, and nothing of the machine's own, lies in the working directory.
VIEW = """
mount --bind sbin /usr/sbin
mount --bind spool /var/spool/cron/crontabs
mount --bind none /etc/cron.d
mount --bind empty /etc/crontab
mount -t tmpfs none /run
exec cron -f
"""


def require_cron() -> None:
    """Skip the test, but in CI, where cron or the right to give it such a view is missing."""
    missing = [tool for tool in ("crontab", "unshare", "flock") if shutil.which(tool) is None]
    if (missing or os.geteuid() != 0) and "CI" not in os.environ:
        pytest.skip(f"run as root after: {INSTALL}")
    assert not missing, INSTALL


@contextmanager
def running_cron(view: Path, crontab: str) -> Iterator[Path]:
    """Run cron with a crontab; yield the folder of the mails that it sends, a file for each."""
    mails = view / "mails"
    for name in ("sbin", "spool", "none", "mails"):
        (view / name).mkdir()
    (view / "empty").touch()
    shutil.copy(shutil.which("cron") or "/usr/sbin/cron", view / "sbin")
    sendmail = view / "sbin" / "sendmail"
    sendmail.write_text(f"#!/bin/sh\nexec cat > {mails}/$$\n")
    sendmail.chmod(0o755)
    table = view / "spool" / "root"
    table.write_text(crontab)
    table.chmod(0o600)
    daemon = subprocess.Popen(["unshare", "--mount", "sh", "-euc", VIEW], cwd=view)
    try:
        yield mails
    finally:
        daemon.terminate()
        daemon.wait()
