"""The process of a worker: `cloche/launch.py cloche.serving.batch.scoring.worker_process FD`.

FD is the worker's end of a socket to the engine. With a fork server, workers are forks that call
`run`. The socket carries lines of JSON: the engine sends the job, then one request per part; the
worker sends a response to each, and before it messages about what it is doing.
"""

import gc
import json
import os
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from cloche.processes import supervisor

# Modules that only some versions need; a replacement worker imports those of the lost worker.
_SLOW_IMPORTS = (
    "onnxruntime", "onnx", "sklearn", "mlflow.sklearn", "sklearn.ensemble", "skops.io", "xgboost",
    "lightgbm",
)  # fmt: skip


def run(engine: socket.socket) -> None:
    """Answer requests until the engine closes the socket, or ends without reading the answers."""
    with suppress(ConnectionError), engine, engine.makefile("rwb") as lines:
        import cloche.serving.batch.scoring.worker  # noqa: F401, PLC0415  # slow: runs while a job is pinned

        first = json.loads(lines.readline() or b"null")
        if first is not None:
            _serve(lines, first)


def main() -> None:
    """Run as a process of its own, below a supervisor."""
    supervisor.run(lambda: run(socket.socket(fileno=int(sys.argv[1]))), "cloche-worker")


def _serve(lines: Any, first: dict[str, Any]) -> None:
    # imported late, so that the environment sizes thread pools and failures can be reported
    from cloche.serving.batch.job.part import Part  # noqa: PLC0415
    from cloche.serving.batch.scoring.predict import ModelNeeded  # noqa: PLC0415
    from cloche.serving.errors import ServingError  # noqa: PLC0415
    from cloche.values.redaction import describe_error, raised_in  # noqa: PLC0415

    def say(message: dict[str, Any]) -> None:
        lines.write(json.dumps(message).encode() + b"\n")
        lines.flush()

    try:
        worker, proven = _load(first, say)
        gc.freeze()  # the loaded model stays in memory, so collections need not visit it
        gc.enable()  # the fork server has disabled it
    except ServingError as error:
        say({"failed": str(error)})
        return
    except Exception as error:  # noqa: BLE001  # a model may raise anything while it loads
        version = raised_in(error) or "version"
        say({"failed": f"The {version} cannot be loaded: {type(error).__name__}: {error}"})
        return
    imports = [one for one in _SLOW_IMPORTS if one in sys.modules]
    say({"ready": os.getpid(), "imports": imports, "proven": proven})
    for line in lines:
        request = json.loads(line)
        part = Part(**request["part"])
        try:
            excluded_rows = {int(at): reason for at, reason in request["without"].items()}
            if "try" in request:
                start, stop = request["try"]
                worker.try_rows(part, start, stop, excluded_rows)
                say({"survived": True})
                continue
            finished = worker.finish(part, excluded_rows, request["rows_per_call"])
            say({"finished": finished.to_json()})
        except ModelNeeded:
            say({"model_needed": True})
        except ServingError as error:
            say({"failed": str(error)})
        except Exception as error:  # noqa: BLE001  # any error must reach the engine
            say({"failed": f"Part {part.index}: {describe_error(error)}"})


def _load(first: dict[str, Any], say: Callable[[dict[str, Any]], None]) -> tuple[Any, bool]:
    """Return a worker with the loaded version, and whether its twin was compared with its model."""
    from cloche.serving.batch.job.pinned_job import Job  # noqa: PLC0415
    from cloche.serving.batch.scoring.predict import PartScorer  # noqa: PLC0415
    from cloche.serving.batch.scoring.worker import Worker  # noqa: PLC0415

    def on_step(doing: str, rows: tuple[int, int] | None = None) -> None:
        say({"doing": doing, "rows": rows})

    job = Job.from_json(first["job"])
    load = PartScorer.twin_alone if first.get("twin_alone") else PartScorer.load
    scorer = load(Path(job.model.path), job.model.twin)
    if job.model.stages:
        scorer.watch_stages(lambda version: say({"doing": f"predicting in the {version}"}))
    return Worker(job, Path(first["directory"]), scorer, on_step), scorer.proven
