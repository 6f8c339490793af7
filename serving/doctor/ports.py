"""Check that the ports of a server are free; a result names the process that holds one."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from cloche.serving.doctor.check_result import CheckResult, fail, ok
from cloche.serving.errors import SettingsError
from cloche.serving.settings import Settings
from cloche.serving.web.sockets import authority, listen

_LISTENING = "0A"


def ports(settings: Settings) -> Iterator[CheckResult]:
    """Check the server's port, and its port for gRPC if the settings have one."""
    wanted = {
        "port": ("--port", settings.port),
        "gRPC port": ("--grpc-port", settings.grpc_port),
    }
    for check, (option, port) in wanted.items():
        if not port:  # port 0 lets the system choose a free port
            continue
        try:
            listen(settings.host, port, option).close()
        except SettingsError as error:
            holder = has_open({f"socket:[{inode}]" for inode in _inodes(port)})
            kill = f"kill {holder[0]}, or " if holder else ""
            by = f" It is {holder[1]} (pid {holder[0]})." if holder else ""
            yield fail(check, f"{error}{by}", f"{kill}{option} {_free_above(settings.host, port)}")
        else:
            yield ok(check, f"{authority(settings.host, port)} is free")


def _free_above(host: str, port: int) -> int:
    """Return the next free port; 0, for any free port, if the next hundred are in use."""
    for other in range(port + 1, min(port + 101, 65536)):
        with contextlib.suppress(SettingsError):
            listen(host, other).close()
            return other
    return 0


def has_open(files: set[str]) -> tuple[int, str] | None:
    """Return the id and the command of a process that has one of these files open.

    Only processes whose open files this user may read are found; None if there is none.

    Args:
        files: The paths, or `socket:[INODE]`, as /proc shows them.
    """
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            for file in (process / "fd").iterdir():
                if str(file.readlink()) in files:
                    words = (process / "cmdline").read_text(errors="replace").split("\0")
                    return int(process.name), " ".join(words[:6]).strip()
    return None


def _inodes(port: int) -> Iterator[str]:
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                cells = line.split()
                if cells[3] == _LISTENING and int(cells[1].rpartition(":")[2], 16) == port:
                    yield cells[9]
