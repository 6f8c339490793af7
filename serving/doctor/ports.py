"""Whether the ports that a server would listen on are free, and who has them if not."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from cloche.serving.doctor.check_result import CheckResult, fail, ok
from cloche.serving.errors import SettingsError
from cloche.serving.settings import Settings
from cloche.serving.web.sockets import listen

_LISTENING = "0A"


def ports(settings: Settings) -> Iterator[CheckResult]:
    """The server's port, and that for gRPC if there is to be one."""
    wanted = {
        "port": ("--port", settings.port),
        "gRPC port": ("--grpc-port", settings.grpc_port),
    }
    for check, (option, port) in wanted.items():
        if not port:  # 0 is any free one
            continue
        try:
            listen(settings.host, port, option).close()
        except SettingsError as error:
            holder = has_open({f"socket:[{inode}]" for inode in _inodes(port)})
            kill = f"kill {holder[0]}, or " if holder else ""
            by = f" It is {holder[1]} (pid {holder[0]})." if holder else ""
            yield fail(check, f"{error}{by}", f"{kill}{option} {_free_above(settings.host, port)}")
        else:
            yield ok(check, f"{settings.host}:{port} is free")


def _free_above(host: str, port: int) -> int:
    """The next port that can be had; 0, which takes any, where none of the next hundred can."""
    for other in range(port + 1, min(port + 101, 65536)):
        with contextlib.suppress(SettingsError):
            listen(host, other).close()
            return other
    return 0


def has_open(files: set[str]) -> tuple[int, str] | None:
    """The process that has one of these files open, and its command, as far as this user sees.

    Args:
        files: paths, or `socket:[INODE]`, as /proc shows them.
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
