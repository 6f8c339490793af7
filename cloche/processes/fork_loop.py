"""A process that imports a module once, and does each piece of its work in a fork of itself.

`cloche/launch.py cloche.processes.fork_loop [USUAL...] MODULE`, with a socket as standard input.
Each message is the path of a folder, and the answer is the exit code of a fork, in which
`MODULE.work(FOLDER)` ran below a supervisor. So no work finds anything that other work has left,
and only the first one waits for imports. USUAL are modules that most work needs: they are imported
before MODULE, if they can be.

Where a process with imports cannot be forked safely, this process itself does its first work and
ends with it; the exit code is then its own.
"""

import contextlib
import os
import signal
import sys
import warnings
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType

from cloche.processes import parent_watch, quick_imports, supervisor

FORKING = sys.platform == "linux"
_STDIN, _PATH_BYTES = 0, 1 << 16


def main() -> None:
    """Do the work of the module that is named last until the other end of the socket is closed."""
    *usual, own = sys.argv[1:]
    parent_watch.die_with_parent()
    parent_watch.ignore_group_signals()
    parent_watch.set_process_name("cloche-forks")
    # A model's warnings are for the people who trained it. Python also warns of forks beside
    # threads, and counts those of allocators, which are safe.
    warnings.simplefilter("ignore")
    with quick_imports.without_collection():
        for name in usual:
            # work that needs it reports the error
            with contextlib.suppress(Exception), quick_imports.without_array_libraries():
                import_module(name)
        module = import_module(own)
    while folder := os.read(_STDIN, _PATH_BYTES):
        work = partial(module.work, Path(os.fsdecode(folder)))
        os.write(_STDIN, str(_code_of(work, module)).encode())


def _code_of(work: "partial[None]", module: ModuleType) -> int:
    """Do the work in a fork, and return its exit code."""
    parent = os.getpid()
    pid = os.fork() if FORKING else 0
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_RDONLY), _STDIN)
        if numpy := sys.modules.get("numpy"):
            numpy.random.seed()  # else all forks would draw the same random numbers
        supervisor.run(work, module.PROCESS, parent if FORKING else None)

    def end(_number: int, _frame: object) -> None:
        supervisor.request_end(pid)

    before = signal.signal(supervisor.END, end)
    _, status = os.waitpid(pid, 0)
    signal.signal(supervisor.END, before)
    return os.waitstatus_to_exitcode(status)
