"""The loop of a fork server: it imports modules, forks on request, and reports ended forks."""

import contextlib
import gc
import importlib
import os
import selectors
import signal
import socket
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from cloche.processes import supervisor
from cloche.processes.quick_imports import without_array_libraries
from cloche.serving.forkserver.protocol import PACKET, TRAINED_IMPORTS, Program, packet, read

# The module without which a program cannot run.
_MAIN_MODULES = {
    Program.HOST: "cloche.serving.host.loop",
    Program.REGISTRY: "cloche.serving.registry.service",
    Program.WORKER: "cloche.serving.batch.scoring.worker",
    Program.TWIN_WORKER: "cloche.serving.batch.scoring.worker",
}
# The module whose `run` a fork calls.
_ENTRY_MODULES = {
    Program.HOST: "cloche.serving.host.__main__",
    Program.REGISTRY: "cloche.serving.registry.__main__",
    Program.WORKER: "cloche.serving.batch.scoring.worker_process",
    Program.TWIN_WORKER: "cloche.serving.batch.scoring.worker_process",
}
# Modules that most versions need besides. They are imported one by one, as a fork waits for the
# import in progress. None of them may start a thread, which a fork would not have.
_MODEL_IMPORTS = (
    "onnxruntime", "scipy.optimize", "scipy.stats", "sklearn.utils", "sklearn", "mlflow.sklearn",
    "sklearn.ensemble", "skops.io",
)  # fmt: skip
_COMMON_IMPORTS = {
    Program.HOST: _MODEL_IMPORTS,
    Program.REGISTRY: (),
    Program.WORKER: _MODEL_IMPORTS,
    Program.TWIN_WORKER: ("onnxruntime", "onnx"),
}
# What comes before the program's own module, where nothing waits for that one yet: skops searches
# all modules that exist for each function of numpy and scipy, and MLflow makes them many.
_FIRST_IMPORTS = {Program.WORKER: TRAINED_IMPORTS}
_QUIET_SECONDS = 5.0


class ForkServer:
    """A fork server. It has one thread: a fork could inherit a lock that another thread holds."""

    def __init__(self, front: socket.socket, programs: Sequence[Program]) -> None:
        """Listen to `front`, a packet socket, and import the modules of `programs` in advance."""
        self._front = front
        self._pending_imports = [
            name for one in programs for name in (*_FIRST_IMPORTS.get(one, ()), _MAIN_MODULES[one])
        ]
        self._pending_imports += [name for one in programs for name in _COMMON_IMPORTS[one]]
        self._has_forked = False
        self._forks: set[int] = set()
        self._woken, self._wake = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(front, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._wake.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)

    def run(self) -> None:
        """Serve until the front closes its socket."""
        while True:
            ready = [key.fileobj for key, _ in self._selector.select(self._import_timeout())]
            if self._woken in ready:
                self._woken.recv(PACKET)
                self._report_ends()
            if self._front in ready and not self._handle_message():
                return
            if not ready:
                name = self._pending_imports.pop(0)
                # a version that needs it reports the error
                with contextlib.suppress(Exception), without_array_libraries():
                    importlib.import_module(name)

    def _import_timeout(self) -> float | None:
        """The seconds until the next import; None if there is none.

        After a fork, imports wait until the server is quiet: the fork has a version to load.
        """
        if not self._pending_imports:
            return None
        return _QUIET_SECONDS if self._has_forked else 0

    def _handle_message(self) -> bool:
        data, descriptors, _, _ = socket.recv_fds(self._front, PACKET, 2)
        if not data:
            return False
        message = read(data)
        if "kill" in message:
            if message["kill"] in self._forks:  # else the ID may be in use again
                supervisor.request_end(message["kill"])
            return True
        if "import" in message:
            known = {*sys.modules, *self._pending_imports}
            self._pending_imports += [name for name in message["import"] if name not in known]
            return True
        program = Program(message["fork"])
        reply: dict[str, Any]
        try:
            # not in the fork, so that later forks have the module as well
            importlib.import_module(_MAIN_MODULES[program])
            for name in message.get("needs", ()):
                # the version reports the error
                with contextlib.suppress(Exception), without_array_libraries():
                    importlib.import_module(name)
        except Exception as error:  # noqa: BLE001  # a module may raise anything
            reply = {"failed": f"{type(error).__name__}: {error}"}
        else:
            reply = self._fork(program, message["arguments"], descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        self._has_forked = self._has_forked or program is not Program.REGISTRY
        self._front.sendall(packet(id=message["id"], **reply))
        return True

    def _fork(
        self, program: Program, arguments: Sequence[str], descriptors: Sequence[int]
    ) -> dict[str, Any]:
        """Fork the program, and return the result for the front."""
        gc.freeze()  # a garbage collection in the fork would copy the objects' memory
        parent = os.getpid()
        with warnings.catch_warnings():
            # Python counts the threads of allocators as well, which are safe in forks
            warnings.simplefilter("ignore", DeprecationWarning)
            try:
                pid = os.fork()
            except OSError as error:
                return {"full": str(error)}
        if pid == 0:
            _become(program, arguments, descriptors, parent, release=self._release)
        self._forks.add(pid)
        return {"forked": pid}

    def _release(self) -> None:
        """Release the resources of the fork server, in a fork."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._selector.close()
        for one in (self._front, self._woken, self._wake):
            one.close()

    def _report_ends(self) -> None:
        with contextlib.suppress(ChildProcessError):  # no child is left
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid in self._forks:  # else an imported module started it
                    self._forks.remove(pid)
                    self._front.sendall(packet(ended=pid, code=os.waitstatus_to_exitcode(status)))


def _become(
    program: Program, arguments: Sequence[str], descriptors: Sequence[int], parent: int, *,
    release: Callable[[], None],
) -> NoReturn:  # fmt: skip
    """Run the program in the new fork, and never return."""
    try:
        release()
        front, *output = descriptors
        for number in output:
            os.dup2(number, sys.stdout.fileno())
            os.dup2(number, sys.stderr.fileno())
            os.close(number)
        if numpy := sys.modules.get("numpy"):
            numpy.random.seed()  # else all forks would draw the same random numbers
        main: Callable[..., None] = importlib.import_module(_ENTRY_MODULES[program]).run

        def work() -> None:
            main(socket.socket(fileno=front), *arguments)

        supervisor.run(work, f"cloche-{program}", parent)
    except BaseException:  # noqa: BLE001  # reports errors as Python does
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(1)  # never back into the loop of the fork server
