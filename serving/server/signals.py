"""The signals of a server: which end it, which wake it, and which mean nothing."""

import asyncio
import logging
import signal
from collections.abc import Callable

# Without a handler, each of these signals would end the process; other servers rotate logs on them.
_IGNORED_SIGNALS = (
    signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF
)  # fmt: skip
_logger = logging.getLogger(__name__)


def handle(*, stop: Callable[[], None], wake: Callable[[], None]) -> None:
    """Call `stop` on SIGTERM and Ctrl-C, and `wake` on SIGHUP, in the running event loop."""
    loop = asyncio.get_running_loop()

    def stop_and_tell(name: str) -> None:
        _logger.info("%s: finishing what runs, then ending.", name)
        stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop_and_tell, number.name)
    loop.add_signal_handler(signal.SIGHUP, wake)
    for number in _IGNORED_SIGNALS:
        loop.add_signal_handler(number, _tell_unknown, number.name)


def _tell_unknown(name: str) -> None:
    _logger.warning("%s means nothing to this server, and changes nothing.", name)
