"""The measurements, as records and as the file `results.json` with a section for each command."""

import json
import os
import platform
import re
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_NAME = "results.json"


@dataclass(frozen=True, slots=True)
class Run:
    """The measurement of one run of wrk against one contender; see `load.Measurement`."""

    model: str
    contender: str
    connections: int
    rate: float
    p50: float
    p99: float
    failed: int


@dataclass(frozen=True, slots=True)
class Start:
    """The measurement of one start of a contender.

    Attributes:
        model: The name of the model.
        contender: The name of the contender.
        seconds: The seconds from the command to the first prediction.
        mebibytes: The PSS of the whole process tree after the load, in MiB.
        answer: The beginning of the first response body.
    """

    model: str
    contender: str
    seconds: float
    mebibytes: float
    answer: str


@dataclass(frozen=True, slots=True)
class Missing:
    """A contender that could not be measured, and the reason."""

    model: str
    contender: str
    reason: str


@dataclass(slots=True)
class Load:
    """All measurements of `python -m benchmarks`."""

    seconds: int
    rounds: int
    versions: dict[str, str]
    runs: list[Run] = field(default_factory=list)
    starts: list[Start] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)


def write(folder: Path, section: str, content: Any) -> dict[str, Any]:
    """Write `content` as a section of the results in a folder; return all sections."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _NAME
    sections = json.loads(path.read_text()) if path.exists() else {}
    sections[section] = {"machine": machine(), **asdict(content)}
    path.write_text(json.dumps(sections, indent=1, ensure_ascii=False) + "\n")
    return dict(sections)


def machine() -> dict[str, str]:
    """Return the facts of this machine that a comparison of results needs."""
    cpu = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    threads = [f"{name}={os.environ[name]}" for name in sorted(os.environ) if name[:4] == "OMP_"]
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "cpu": cpu[1] if cpu else platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "environment": " ".join(threads),
    }
