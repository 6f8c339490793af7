"""Starts processes in every way that a model may, under a supervisor: `FOLDER HOW_IT_ENDS`.

Leaves a file for each process in the folder, named by its id, and `started` when all are there.
"""

import atexit
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cloche.processes import supervisor

FOLDER, END = Path(sys.argv[1]), sys.argv[2]
SLEEP = [sys.executable, "-c", "import time; time.sleep(3600)"]
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(flush=True)
time.sleep(3600)
"""


def note(pid: int) -> None:
    (FOLDER / f"{pid}.pid").touch()


def deaf(*, session: bool = False) -> None:
    """A program that ignores SIGTERM."""
    child = subprocess.Popen(
        [sys.executable, "-c", DEAF], stdout=subprocess.PIPE, start_new_session=session
    )
    assert child.stdout is not None
    child.stdout.readline()
    note(child.pid)


def daemon() -> None:
    """A process that nobody is the parent of, in a session of its own."""
    if os.fork() == 0:
        os.setsid()
        deaf(session=True)
        os._exit(0)
    os.wait()


def stopped() -> None:
    child = subprocess.Popen(SLEEP)
    os.kill(child.pid, signal.SIGSTOP)
    note(child.pid)


def forked() -> None:
    """A process of multiprocessing, which its exit handlers join, and one that nobody joins."""
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=[3600], daemon=True)
    child.start()
    assert child.pid is not None
    note(child.pid)
    if (other := os.fork()) == 0:
        time.sleep(3600)
    note(other)


def threads() -> None:
    """One that ends when it is told to, and one that does not."""
    ThreadPoolExecutor().submit(int)
    threading.Thread(target=time.sleep, args=[3600]).start()


def asked() -> None:
    """Leave a file when exit handlers run, although others hang."""
    atexit.register((FOLDER / "asked").touch)
    atexit.register(time.sleep, 3600)
    atexit.register(time.sleep, 3600)


def work() -> None:
    note(os.getpid())
    (FOLDER / "working").write_text(str(os.getpid()))
    asked()
    threads()
    deaf()
    daemon()
    stopped()
    forked()
    note(os.fork() or os.getpid())  # both go on
    (FOLDER / "started").touch()
    if END == "copy":
        supervisor.end_stray_fork()
    elif END == "raises":
        raise RuntimeError("on purpose")
    elif END == "exits":
        os._exit(3)
    elif END == "signals its group":
        os.killpg(0, signal.SIGKILL)
    elif END.startswith("SIG"):
        os.kill(os.getpid(), getattr(signal, END))
    elif END == "closes":
        os.closerange(0, 1024)
    if END != "returns":
        time.sleep(3600)


if __name__ == "__main__":
    supervisor.run(work, "a-test")
