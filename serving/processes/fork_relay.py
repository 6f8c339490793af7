"""Lends the fork server of this process to another one, which speaks to it as to its own.

So all workers of a server share the memory of its imports, and the fork server is started anew in
one place. The messages are those of `cloche.serving.forkserver.protocol`.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Sequence
from typing import Any

from cloche.serving.background_tasks import Tasks
from cloche.serving.errors import HostFailed
from cloche.serving.forkserver.protocol import PACKET, Program, packet, read
from cloche.serving.processes.launcher import Process, Processes, kill


class ForkRelay:
    """Starts the processes of one borrower, and ends them with it."""

    def __init__(self, processes: Processes, borrower: socket.socket) -> None:
        """Listen to `borrower`, a packet socket, until its other end is closed."""
        borrower.setblocking(False)
        self._processes = processes
        self._borrower = borrower
        self._running: dict[int, Process] = {}
        self._closed = False
        self._tasks = Tasks()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(borrower, self._handle_message)

    def close(self) -> None:
        """End the processes of the borrower."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._borrower)
            self._borrower.close()
            for process in self._running.values():
                kill(process)

    def _handle_message(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._borrower, PACKET, 2)
        except BlockingIOError:
            return
        except OSError:
            data, descriptors = b"", []
        if not data:
            self.close()
            return
        message = read(data)
        if "import" in message:
            self._processes.preload(message["import"])
        elif "fork" in message:
            self._tasks.start(self._fork(message, descriptors))
        elif (process := self._running.get(message["kill"])) is not None:
            kill(process)

    async def _fork(self, message: dict[str, Any], descriptors: Sequence[int]) -> None:
        """Start a process; tell the borrower its ID, and then its end."""
        number, output = message["id"], descriptors[1] if len(descriptors) > 1 else None
        try:
            with socket.socket(fileno=descriptors[0]) as its_socket:
                process = await self._processes.start(
                    Program(message["fork"]), its_socket, *message["arguments"],
                    output=output, needs=message["needs"],
                )  # fmt: skip
        except HostFailed as error:
            self._send(id=number, failed=str(error))
            return
        except OSError as error:
            self._send(id=number, full=str(error))
            return
        finally:
            if output is not None:
                os.close(output)
        if self._closed:
            kill(process)
            return
        self._running[process.pid] = process
        self._send(id=number, forked=process.pid)
        code = await process.wait()
        del self._running[process.pid]
        self._send(ended=process.pid, code=code)

    def _send(self, **message: Any) -> None:
        with contextlib.suppress(OSError):  # the borrower has ended
            self._borrower.send(packet(**message))
