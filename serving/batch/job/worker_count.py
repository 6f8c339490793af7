"""The number of worker processes that fit this machine's cores and memory."""

from pathlib import Path

from cloche.serving.processes.cpu_count import cores

_WORKER_BYTES = 600 << 20


def workers() -> int:
    """Return one worker per usable core, fewer if memory is short, but at least one."""
    return max(1, min(cores(), _free_memory() // _WORKER_BYTES))


def _free_memory() -> int:
    for line in _text("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1]) * 1024
            limit, used = _text("/sys/fs/cgroup/memory.max"), _text("/sys/fs/cgroup/memory.current")
            return min(free, int(limit) - int(used)) if limit.isdecimal() and used else free
    return 1 << 40  # memory is unknown, so the number of cores decides


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
