"""A server that records the time at which a request passes each mark.

`python -m benchmarks.tracing front FOLDER serve MODEL_URI …` is `cloche serve` with marks;
`python -m benchmarks.tracing host FOLDER FD` is its model host. All processes of a machine share
the clock, so the times of both processes can be compared.
"""

import asyncio
import functools
import inspect
import os
import struct
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchmarkError
from benchmarks.marks import MARKS, Mark, Process

_RECORD = struct.Struct("=Iq")  # the position of a mark, and the time in nanoseconds

Moment = tuple[int, int]  # the position of a mark in MARKS, and the time in nanoseconds


def install(process: Process, moments: list[Moment]) -> None:
    """Wrap the marked functions of `process` so that each appends to `moments`.

    Raises:
        BenchmarkError: A marked function does not exist.
    """
    for position, mark in enumerate(MARKS):
        if mark.process == process:
            for target in mark.targets:
                owner, name, function = find(target)
                setattr(owner, name, _marked(function, position, mark, moments))


def find(target: str) -> tuple[Any, str, Callable[..., Any]]:
    """Return the module or class with a marked function, the attribute's name, and the function.

    Raises:
        BenchmarkError: The function does not exist.
    """
    module, _, path = target.partition(":")
    *owners, name = path.split(".")
    owner: Any = import_module(module)
    try:
        for one in owners:
            owner = getattr(owner, one)
        return owner, name, getattr(owner, name)
    except AttributeError as error:
        raise BenchmarkError(f"{target} is not there: mend it in benchmarks/marks.py.") from error


def read(folder: Path) -> list[Moment]:
    """Return all moments that the processes of a traced server wrote, in the order of time."""
    found: list[Moment] = []
    for file in folder.glob("*.moments"):
        found += _RECORD.iter_unpack(file.read_bytes())
    return sorted(found, key=lambda moment: moment[1])


def chains(moments: list[Moment]) -> Iterator[list[int]]:
    """Iterate over the requests that passed all marks, with the time of each mark.

    If a request passes a mark more than once, as with a body in several chunks, the first time
    counts. Requests must not overlap.
    """
    times: dict[int, int] = {}
    for position, when in moments:
        if position == 0 and len(MARKS) - 1 in times:
            times = {}
        if position == len(times):
            times[position] = when
            if len(times) == len(MARKS):
                yield [times[one] for one in range(len(MARKS))]


def _marked(
    function: Callable[..., Any], position: int, mark: Mark, moments: list[Moment]
) -> Callable[..., Any]:
    now = time.perf_counter_ns
    if inspect.iscoroutinefunction(function):

        async def awaited(*arguments: Any, **named: Any) -> Any:
            if not mark.leaving:
                moments.append((position, now()))
            value = await function(*arguments, **named)
            if mark.leaving:
                moments.append((position, now()))
            return value

        return functools.wraps(function)(awaited)

    def called(*arguments: Any, **named: Any) -> Any:
        if not mark.leaving:
            moments.append((position, now()))
        value = function(*arguments, **named)
        if mark.leaving:
            moments.append((position, now()))
        return value

    return functools.wraps(function)(called)


def _write(folder: Path, moments: list[Moment]) -> None:
    content = b"".join(_RECORD.pack(*moment) for moment in moments)
    (folder / f"{os.getpid()}.moments").write_bytes(content)


def _front(folder: Path, arguments: list[str]) -> None:
    """Run the command with marks, and start its model hosts with marks."""
    spawn = asyncio.create_subprocess_exec

    async def spawn_traced(program: str, *rest: str, **options: Any) -> Any:
        if "cloche.serving.host" in rest:
            rest = ("-m", __spec__.name, "host", str(folder), rest[-1])
        return await spawn(program, *rest, **options)

    asyncio.create_subprocess_exec = spawn_traced  # type: ignore[assignment]
    # A fork of the fork server would have no marks, so hosts are started as processes of their own.
    processes: Any = import_module("cloche.serving.processes.launcher").Processes
    processes.__init__ = functools.partialmethod(processes.__init__, forking=False)
    moments: list[Moment] = []
    install("front", moments)
    command = import_module("cloche.main")
    try:
        command.main(arguments)
    finally:
        _write(folder, moments)


def _host(folder: Path, descriptor: str) -> None:
    """Run a model host with marks."""
    moments: list[Moment] = []
    install("host", moments)
    loop: Any = import_module("cloche.serving.host.loop")
    serve = loop.serve

    def serve_and_write(front: Any) -> None:
        serve(front)
        _write(folder, moments)

    loop.serve = serve_and_write
    sys.argv = ["cloche.serving.host", descriptor]
    import_module("cloche.serving.host.__main__").main()


if __name__ == "__main__":
    _, kind, where, *others = sys.argv
    if kind == "front":
        _front(Path(where), others)
    else:
        _host(Path(where), others[0])
