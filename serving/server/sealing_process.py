"""The sealing process of a server with a prediction log: it begins and ends with the server."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress

from cloche import launch
from cloche.processes.child_variables import for_registry
from cloche.serving.settings import Settings

_LAST_SEALING_SECONDS = 15.0
_AGAIN_SECONDS = 5.0  # from its unexpected end until it is started again
_LOG_BYTES = 1 << 20  # the longest line of its log
_logger = logging.getLogger(__name__)


@asynccontextmanager
async def sealing(settings: Settings) -> AsyncIterator[None]:
    """Seal the server's spool until the context is left, and a last time then.

    A server whose sealing process does not end within 15 seconds leaves its rows in the spool, to
    the next server.
    """
    plan = settings.log_plan
    if plan is None:
        yield
        return
    command = launch.command(
        "cloche.serving.sealing", plan.folder, settings.log, str(settings.log_seal_interval)
    )
    ended = asyncio.Event()
    keeping = asyncio.create_task(_keep(command, ended))
    try:
        yield
    finally:
        ended.set()
        await keeping


async def _keep(command: list[str], ended: asyncio.Event) -> None:
    """Have the process run until `ended` is set, and then its last sealing."""
    while not ended.is_set():
        try:
            process = await asyncio.create_subprocess_exec(
                *command, env=for_registry(os.environ), limit=_LOG_BYTES,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
        except OSError as error:
            _logger.warning("The sealing process cannot be started: %s", error)
        else:
            await _run(process, ended)
        if not ended.is_set():
            _logger.error("The sealing process is not running; it is started again.")
            await _wait(ended.wait(), _AGAIN_SECONDS)


async def _run(process: asyncio.subprocess.Process, ended: asyncio.Event) -> None:
    ending = asyncio.create_task(ended.wait())
    relaying = asyncio.create_task(_relay_log(process))
    try:
        await asyncio.wait([ending, relaying], return_when=asyncio.FIRST_COMPLETED)
        assert process.stdin is not None  # noqa: S101  # it is a pipe
        process.stdin.close()
        await _wait(asyncio.shield(relaying), _LAST_SEALING_SECONDS)
    finally:
        for task in (ending, relaying):
            task.cancel()
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        await process.wait()


async def _relay_log(process: asyncio.subprocess.Process) -> None:
    """Log the lines of the process as the server's own, until it ends."""
    assert process.stdout is not None  # noqa: S101  # it is a pipe
    async for line in process.stdout:
        level, _, message = line.decode(errors="replace").rstrip().partition(" ")
        number = logging.getLevelNamesMapping().get(level)
        if number is None:
            _logger.error("%s", f"{level} {message}")
        else:
            _logger.log(number, "%s", message)


async def _wait(awaitable: Awaitable[object], seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await awaitable
