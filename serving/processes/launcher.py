"""Starts the processes behind the front: as forks of the fork server, or as new processes.

A fork starts at once and shares the memory of imports. New processes are for Python environments
other than the front's, and for systems where a process with imports cannot be forked safely.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cloche import launch
from cloche.processes import child_variables, supervisor
from cloche.serving.background_tasks import Tasks
from cloche.serving.errors import HostFailed
from cloche.serving.forkserver.protocol import FORK_SECONDS, PACKET, Program, packet, read
from cloche.serving.processes.thread_limits import thread_variables

_END_SECONDS = 5.0
_AT_ONCE = 16  # pending messages to the fork server; hundreds would not fit into the socket


class Processes:
    """Starts model hosts and registry processes, with the environment variables that models get.

    Attributes:
        end_tasks: The background tasks that end processes; `close` waits for them.
    """

    def __init__(
        self, threads: int, extra_names: Sequence[str] = (), *, large_batch_threads: int = 0,
        forking: bool = sys.platform == "linux", relay: socket.socket | None = None,
    ) -> None:  # fmt: skip
        """Start nothing yet; `relay` is a socket to another process's fork server, to use it."""
        self._threads = threads, large_batch_threads
        self._extra_names = tuple(extra_names)
        self._forking = forking
        self._server = _ForkServer(None, relay) if relay else None
        self._starting = asyncio.Lock()
        self._imported_programs = [Program.REGISTRY]
        self.end_tasks = Tasks()

    def prepare_hosts(self) -> None:
        """Have the fork server import the modules of model hosts in advance as well."""
        self._imported_programs.append(Program.HOST)

    async def start(
        self, program: Program, its_socket: socket.socket, *arguments: str,
        output: int | None = None, needs: Sequence[str] = (),
    ) -> "Process":  # fmt: skip
        """Start a program in the front's environment.

        Args:
            program: The program to start.
            its_socket: The program's end of a socket to the front.
            arguments: Further arguments of the program.
            output: The file descriptor that the program prints to; None for the front's own.
            needs: Modules that the fork server imports first, for this fork and later ones.

        Raises:
            HostFailed: The program cannot run in this environment.
            OSError: The program cannot be started now.
        """
        if self._forking:
            server = await self._forks()
            return await server.fork(program, arguments, its_socket, output, needs)
        return await self._new_process("", program, its_socket, *arguments, output=output)

    async def start_host_in(
        self, python: Path, its_socket: socket.socket, output: int
    ) -> "Process":
        """Start a model host with the interpreter of another environment than the front's."""
        return await self._new_process(str(python), Program.HOST, its_socket, output=output)

    def add_fix(self, line: str) -> str:
        """Add the fix to a message of a host that lacks a variable which models do not get."""
        return child_variables.with_fix(line, os.environ, self._extra_names)

    def preload(self, modules: Sequence[str]) -> None:
        """Have the fork server import the modules that a host needed, when it is idle."""
        if self._server is not None:
            self._server.preload(modules)

    async def close(self) -> None:
        """Wait for `end_tasks`, then end the fork server, and its forks with it."""
        await self.end_tasks.finish()
        await self._end_forks()

    async def _end_forks(self) -> None:
        if self._server is not None:
            await self._server.close()

    async def _forks(self) -> "_ForkServer":
        async with self._starting:
            if self._server is None or self._server.ended:
                await self._end_forks()
                self._server = await _ForkServer.start(self._imported_programs, self._variables())
            return self._server

    async def _new_process(
        self, python: str, program: Program, its_socket: socket.socket, *arguments: str,
        output: int | None,
    ) -> "Process":  # fmt: skip
        all_arguments = (str(its_socket.fileno()), *arguments)
        return await asyncio.create_subprocess_exec(
            *launch.command(f"cloche.serving.{program}", *all_arguments, python=python),
            pass_fds=(its_socket.fileno(),), env=self._variables(),
            stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip

    def _variables(self) -> dict[str, str]:
        # onnxruntime's telemetry starts a thread, which forks would not have; a program that mounts
        # Cloche has not disabled it either
        quiet = {"ORT_DISABLE_TELEMETRY": "1"}
        own = child_variables.for_models(os.environ, self._extra_names)
        return {**quiet, **own, **thread_variables(own, *self._threads), "PYTHONUNBUFFERED": "1"}


def kill(process: "Process") -> None:
    """End a process at once, with the processes that it started, if it still runs."""
    if process.returncode is not None:
        return
    if isinstance(process, _Fork):
        process.kill()
    else:
        supervisor.request_end(process.pid)


class _ForkServer:
    """The front's connection to the fork server."""

    def __init__(
        self, process: asyncio.subprocess.Process | None, connection: socket.socket
    ) -> None:
        """Listen to a fork server; `process` is None if another process started it."""
        connection.setblocking(False)
        self._process = process
        self._connection = connection
        self._pending_forks: dict[int, asyncio.Future[_Fork]] = {}
        self._count = 0
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self._forks: dict[int, _Fork] = {}
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(
        cls, programs: Sequence[Program], variables: Mapping[str, str]
    ) -> "_ForkServer":
        """Start a fork server that imports the modules of `programs` in advance."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with contextlib.ExitStack() as undone:
            undone.callback(ours.close)
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *launch.command("cloche.serving.forkserver", str(theirs.fileno()), *programs),
                    pass_fds=(theirs.fileno(),), env=variables, stdin=asyncio.subprocess.DEVNULL,
                )  # fmt: skip
            undone.pop_all()
        return cls(process, ours)

    @property
    def ended(self) -> bool:
        """Whether the fork server has ended."""
        return self._listening.done()

    async def fork(
        self, program: Program, arguments: Sequence[str], its_socket: socket.socket,
        output: int | None, needs: Sequence[str],
    ) -> "_Fork":  # fmt: skip
        """Fork a process that runs the program.

        Raises:
            HostFailed: The program cannot run here.
            OSError: There is no fork within two minutes, or the fork server has ended.
        """
        descriptors = [its_socket.fileno(), *([] if output is None else [output])]
        self._count += 1
        number = self._count
        question = packet(fork=program, arguments=arguments, id=number, needs=needs)
        async with self._at_once:
            forked: asyncio.Future[_Fork] = asyncio.get_running_loop().create_future()
            self._pending_forks[number] = forked
            try:
                socket.send_fds(self._connection, [question], descriptors)
                async with asyncio.timeout(FORK_SECONDS):
                    return await forked
            except asyncio.CancelledError:
                if forked.done() and not forked.cancelled() and forked.exception() is None:
                    forked.result().kill()  # it came at the moment of the cancellation
                raise
            except TimeoutError as error:
                raise TimeoutError(
                    f"The fork server said nothing for {FORK_SECONDS:g} s."
                ) from error
            finally:
                del self._pending_forks[number]

    def kill(self, pid: int) -> None:
        """End a fork at once, by its parent, which knows whether the ID is still the fork's."""
        with contextlib.suppress(OSError):  # the fork server has ended, and its forks with it
            self._connection.send(packet(kill=pid))

    def preload(self, modules: Sequence[str]) -> None:
        """Have the fork server import these modules for later forks."""
        with contextlib.suppress(OSError):
            self._connection.send(packet(**{"import": modules}))

    async def close(self) -> None:
        """End the forks, then the fork server."""
        ended = [fork.ended for fork in self._forks.values()]
        for pid in self._forks:
            self.kill(pid)
        if ended:
            await asyncio.wait(ended, timeout=_END_SECONDS)
        self._listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._listening
        self._connection.close()
        if self._process is None:
            return
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while data := await loop.sock_recv(self._connection, PACKET):
                self._handle_message(read(data))
        except ConnectionError:
            pass
        finally:
            for forked in self._pending_forks.values():
                if not forked.done():
                    forked.set_exception(ConnectionError("The fork server ended."))
            for fork in self._forks.values():
                fork.ended.set_result(-signal.SIGKILL)  # a fork ends with its parent
            self._forks.clear()

    def _handle_message(self, message: dict[str, Any]) -> None:
        if "ended" in message:
            self._forks.pop(message["ended"]).ended.set_result(message["code"])
            return
        pending = self._pending_forks.get(message["id"])
        if "forked" not in message:
            if pending is not None and not pending.done():
                pending.set_exception(_fork_error(message))
            return
        fork = self._forks[message["forked"]] = _Fork(self, message["forked"])
        if pending is None or pending.done():
            fork.kill()  # the caller has stopped waiting
        else:
            pending.set_result(fork)


def _fork_error(message: dict[str, Any]) -> Exception:
    """The exception for a fork that the fork server refused."""
    if "full" in message:
        return OSError(f"The machine has no room for another process: {message['full']}")
    return HostFailed(f"A process cannot be forked. {message['failed']}")


class _Fork:
    """A fork of the fork server, with the methods of asyncio's `Process` that the front uses."""

    def __init__(self, server: _ForkServer, pid: int) -> None:
        self.pid = pid
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._server = server

    @property
    def returncode(self) -> int | None:
        return self.ended.result() if self.ended.done() else None

    async def wait(self) -> int:
        return await asyncio.shield(self.ended)

    def kill(self) -> None:
        if not self.ended.done():
            self._server.kill(self.pid)


Process = asyncio.subprocess.Process | _Fork
"""A process with a `cloche.processes.supervisor`, whose process ID is `pid`; see `kill`."""
