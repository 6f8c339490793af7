"""The process of a worker: `cloche/launch.py cloche.serving.batch.process FD`.

FD is its end of a socket to the engine. Lines of JSON both ways: the job first, then one part after
the other; an answer to each.
"""

import json
import socket
import sys
from pathlib import Path
from typing import Any

from cloche import supervisor


def main() -> None:
    """Answer until the engine closes the socket."""
    supervisor.run(_answer, "cloche-worker")


def _answer() -> None:
    with socket.socket(fileno=int(sys.argv[1])) as engine, engine.makefile("rwb") as lines:
        import cloche.serving.batch.worker  # noqa: F401, PLC0415  # slow: done while a job is pinned

        first = json.loads(lines.readline() or b"null")
        if first is not None:
            _serve(lines, first)


def _serve(lines: Any, first: dict[str, Any]) -> None:
    # after the thread pools were sized by the environment, and where a failure can be told
    from cloche.redaction import told  # noqa: PLC0415
    from cloche.serving.batch.job import Job  # noqa: PLC0415
    from cloche.serving.batch.part import Part  # noqa: PLC0415
    from cloche.serving.batch.worker import Worker  # noqa: PLC0415
    from cloche.serving.errors import ServingError  # noqa: PLC0415

    def say(message: dict[str, Any]) -> None:
        lines.write(json.dumps(message).encode() + b"\n")
        lines.flush()

    try:
        worker = Worker(Job.from_json(first["job"]), Path(first["directory"]))
    except ServingError as error:
        say({"failed": str(error)})
        return
    except Exception as error:  # noqa: BLE001  # a model may raise anything while it loads
        say({"failed": f"The version cannot be loaded: {type(error).__name__}: {error}"})
        return
    say({"ready": True})
    for line in lines:
        question = json.loads(line)
        part = Part(**question["part"])
        try:
            without = {int(at): reason for at, reason in question["without"].items()}
            if "try" in question:
                start, stop = question["try"]
                worker.try_rows(part, start, stop, without)
                say({"survived": True})
                continue
            finished = worker.finish(part, without, question["at_once"])
            say({"finished": finished.to_json()})
        except ServingError as error:
            say({"failed": str(error)})
        except Exception as error:  # noqa: BLE001  # the engine must hear of it, whatever it is
            say({"failed": f"Part {part.index}: {told(error)}"})
