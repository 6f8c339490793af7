"""A process that has imported what commands import, and forks for each command of the tests.

Five seconds of a short command are imports of MLflow, skops and scikit-learn, and the tests run
hundreds of such commands.

1. `programs()` starts one such process for all workers of the tests, and makes a folder with the
   programs `cloche`, `mlflow` and `python`, which the shell of a test finds first.
2. Each of these programs (`warm_program.py`) sends its arguments, environment variables, working
   directory and open descriptors to the process.
3. The process forks (`Warm`). The fork takes them on in a session of its own (`_become`) and calls
   what the real program calls: `cloche.main.main()`, `mlflow.cli.cli()` or a script (`_run`).
4. The program passes signals on to the fork, and ends with its exit code or by its signal. When
   the program is killed, so is the fork.

So a command of a test has imported more than it asks for, and its `sys.executable` is the `python`
of that folder, by which it starts further forks: the gate's process, the workers of a batch job. A
server is a process of its own, of which only the fork server and the hosts are forks. Every other
command of MLflow, and `python -m`, is the real program. Tests of memory, of a server's processes
and of being killed use real programs throughout, as `end_to_end/test_whole_way.py` does to train
and to promote.
"""

import atexit
import contextlib
import fcntl
import functools
import gc
import importlib
import json
import os
import runpy
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path
from typing import Any

from cloche import launch
from cloche.processes import parent_watch
from cloche.processes.quick_imports import without_array_libraries
from tests.warm_program import launched

# What the commands import that have work to do.
_IMPORTED = (
    "skops.io", "mlflow", "mlflow.cli", "mlflow.sklearn", "matplotlib.pyplot", "onnx", "skl2onnx",
    "onnxruntime", "cloche.training.train", "cloche.training.explain",
    "cloche.training.accelerate_version", "cloche.training.gate.model_probe",
    "cloche.training.promotion.promote",
    "cloche.serving.batch.run", "cloche.serving.batch.scoring.worker",
    "cloche.serving.doctor.run_checks",
    "cloche.serving.host.serving_check",
)  # fmt: skip
# The variable by which a test names a folder that a fork finds before all that is installed.
FIRST_PATH = "TESTS_FIRST_PATH"
# The variable by which the workers of the tests find the programs of the process that started them.
_SHARED = "TESTS_PROGRAMS"
_ROOT = Path(__file__).parents[1]
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_PROGRAM = """#!{python} -ISB
import sys
sys.path.append({root!r})
from tests.warm_program import main
main({kind!r}, {python!r}, {address!r})
"""


def share_programs() -> None:
    """Have all processes that this one starts use the same `programs`."""
    os.environ[_SHARED] = str(programs())


@functools.cache
def programs() -> Path:
    """A folder with `cloche`, `mlflow` and `python`, as long as this process lives."""
    if sys.platform != "linux":
        return Path(sys.executable).parent
    if _SHARED in os.environ:
        return Path(os.environ[_SHARED])
    folder = Path(tempfile.mkdtemp(prefix="warm-"))
    address = str(folder / "socket")
    variables = {
        name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")
    } | {"PYTHONUNBUFFERED": "1"}  # as model hosts have it
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.warm", address], cwd=_ROOT, env=variables
    )
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(process.wait)
    atexit.register(process.terminate)
    for kind in ("cloche", "mlflow", "python"):
        program = folder / "bin" / kind
        program.parent.mkdir(exist_ok=True)
        text = _PROGRAM.format(python=sys.executable, root=str(_ROOT), kind=kind, address=address)
        program.write_text(text, encoding="utf-8")
        program.chmod(0o755)
    return folder / "bin"


def python() -> str:
    """The warm interpreter, for scripts that would only import what it has."""
    return str(programs() / "python")


def stand_ins() -> dict[int, int]:
    """The fork → the program that was started for it, for all that were ever made in this run."""
    notes = [
        (path, path.read_text(encoding="ascii")) for path in programs().parent.glob("socket.*")
    ]
    return {int(fork): int(path.suffix[1:]) for path, fork in notes if fork}


class Warm:
    """The process that forks."""

    def __init__(self, address: str) -> None:
        """Listen, once everything is imported."""
        with without_array_libraries():
            for name in _IMPORTED:
                importlib.import_module(name)
        gc.collect()
        gc.freeze()
        gc.enable()  # for the forks, as in any command
        self._path = sys.path[1:]
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"{address}-coming")
        self._listener.listen(64)
        Path(f"{address}-coming").rename(address)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def serve(self) -> None:
        """Fork for everyone who asks, and tell them how it ended."""
        while True:
            for key, _ in self._selector.select():
                key.data()

    def _accept(self) -> None:
        asking, _ = self._listener.accept()
        with contextlib.suppress(OSError, ValueError):
            told, descriptors = _ask(asking)
            child = os.fork()
            if child == 0:
                self._selector.close()
                self._listener.close()
                asking.close()
                _become(told, descriptors, self._path)
            for descriptor in descriptors:
                os.close(descriptor)
            ended = os.pidfd_open(child)
            asking.sendall(child.to_bytes(8))
            finish = functools.partial(self._finish, asking, ended, child)
            self._selector.register(ended, selectors.EVENT_READ, finish)
            self._selector.register(asking, selectors.EVENT_READ, finish)
            return
        asking.close()

    def _finish(self, asking: socket.socket, ended: int, child: int) -> None:
        """The fork has ended, or who asked was killed, and the fork with it."""
        with contextlib.suppress(KeyError, ValueError):  # the other event of the same moment
            self._selector.unregister(ended)
            self._selector.unregister(asking)
            with contextlib.suppress(ProcessLookupError):
                if not os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                    os.killpg(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            with contextlib.suppress(OSError):
                asking.sendall(os.waitstatus_to_exitcode(status).to_bytes(8, signed=True))
            asking.close()
            os.close(ended)


def _ask(asking: socket.socket) -> tuple[dict[str, Any], list[int]]:
    data, descriptors, _, _ = socket.recv_fds(asking, 8, 4)
    size = int.from_bytes(data)
    with asking.makefile("rb") as text:
        return json.loads(text.read(size)), descriptors


def _become(told: dict[str, Any], descriptors: list[int], path: list[str]) -> None:
    """Be the command, in its folder, with its variables; never come back."""
    os.setsid()
    # away from the numbers that they are to have
    descriptors = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, 100) for one in descriptors]
    for number, descriptor in zip(told["descriptors"], descriptors, strict=True):
        os.dup2(descriptor, number)
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(told["folder"])
    os.environ.clear()
    os.environ.update(told["variables"])
    time.tzset()  # TZ is one of them
    importlib.import_module("numpy").random.seed()
    sys.modules["__main__"] = types.ModuleType("__main__")  # click looks there for a name
    sys.path[:] = path
    launch.order_path()
    sys.path[:0] = filter(None, [told["variables"].get(FIRST_PATH)])
    importlib.invalidate_caches()
    code = 1
    try:
        _run(told["kind"], told["arguments"], told["program"])
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
    except KeyboardInterrupt:
        code = 130
    except BaseException:  # noqa: BLE001  # as Python ends
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(BaseException):
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _run(kind: str, arguments: list[str], program: str) -> None:
    if kind == "cloche":
        sys.argv = [program, *arguments]
        sys.executable = str(Path(program).parent / "python")  # for the gate's process
        sys.modules.pop("cloche.main", None)  # it sets what MLflow and OpenMP read
        importlib.import_module("cloche.main").main()
    elif kind == "mlflow":
        sys.argv = [program, *arguments]
        importlib.import_module("mlflow.cli").cli()
    elif arguments[:2] == ["-m", "cloche"]:
        _run("cloche", arguments[2:], program)
    elif (told := launched(arguments))[:1] == ["cloche.main"]:
        _run("cloche", told[1:], program)
    elif told:
        sys.argv = [program, *told]
        launch.run()
    elif arguments[0].endswith(".py"):
        sys.argv = arguments
        sys.path.insert(0, str(Path(arguments[0]).resolve().parent))
        runpy.run_path(arguments[0], run_name="__main__")
    else:
        text = arguments[1] if arguments[0] == "-c" else sys.stdin.read()
        sys.argv = [arguments[0], *arguments[2 if arguments[0] == "-c" else 1 :]]
        sys.path.insert(0, "")
        exec(compile(text, "<string>", "exec"), vars(sys.modules["__main__"]))  # noqa: S102


if __name__ == "__main__":
    parent_watch.die_with_parent()
    gc.disable()
    Warm(sys.argv[1]).serve()
