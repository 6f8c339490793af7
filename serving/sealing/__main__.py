"""The sealing process: it seals a spool again and again until its standard input ends.

The server holds the other end: when it has ended, in whatever way, a last sealing follows.
"""

import logging
import os
import select
import sys
from pathlib import Path

from cloche import launch
from cloche.object_stores import StoreUnknown
from cloche.prediction_log.destination import DestinationFailed
from cloche.processes import parent_watch
from cloche.serving.processes.priority import lower
from cloche.serving.sealing.sealer import Sealer
from cloche.serving.spool.segment import spool_size

# A tenth of the share of a process that answers: with the lowest priority, 19, a process on a busy
# machine took 20 s for its imports alone, and the spool filled.
_PRIORITY = 10
_LONGEST_PAUSE = 60.0  # seconds between attempts while the destination is away
_logger = logging.getLogger("cloche.serving.sealing")


def main() -> None:
    """Seal; the arguments are the spool's folder, the destination and the interval in seconds."""
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.INFO, stream=sys.stdout)
    parent_watch.ignore_group_signals()
    parent_watch.set_process_name("cloche-sealer")
    launch.hide_memory()  # its variables have the destination's credentials
    lower(_PRIORITY)
    folder, destination, interval = sys.argv[1:]
    run(Path(folder), destination, float(interval))


def run(folder: Path, destination: str, interval: float) -> None:
    """Seal every `interval` seconds, and less often while the destination fails."""
    sealer, failures, ended = Sealer(folder, destination), 0, False
    while True:
        try:
            sealer.seal(older_than=0.0 if ended else interval)
            if failures:
                _logger.info("The destination of the prediction log takes rows again.")
            failures = 0
        except (DestinationFailed, StoreUnknown, OSError) as error:
            failures += 1
            if failures == 1:
                waiting = spool_size(folder) / (1 << 20)
                _logger.warning(
                    "The prediction log cannot be moved: %s Its rows wait in %s (%.1f MiB), and "
                    "are moved when this is mended.", error, folder, waiting,
                )  # fmt: skip
        if ended:
            return
        pause = min(interval / 2 * 2 ** min(failures, 10), max(_LONGEST_PAUSE, interval))
        ended = _input_ends_within(pause)


def _input_ends_within(seconds: float) -> bool:
    readable, _, _ = select.select([sys.stdin.fileno()], [], [], seconds)
    return bool(readable) and not os.read(sys.stdin.fileno(), 1)


if __name__ == "__main__":
    main()
