"""MLflow's scoring server for several models: `python stock.py PORTS MODEL...`.

Each model gets the application that `mlflow models serve` runs, on a port of its own and served by
uvicorn as there; the file PORTS names the ports, in the order of the models. One process spares all
but one of them the seconds of MLflow's imports.
"""

import asyncio
import json
import socket
import sys
from pathlib import Path

import uvicorn
from mlflow.pyfunc import scoring_server


def main(ports: str, *models: str) -> None:
    """Serve until the process is killed."""
    listeners = [_bound() for _ in models]
    begun = Path(f"{ports}.begun")
    begun.write_text(json.dumps([listener.getsockname()[1] for listener in listeners]))
    begun.rename(ports)
    asyncio.run(_serve(dict(zip(models, listeners, strict=True))))


def _bound() -> socket.socket:
    """A socket with a port of its own, which nobody else gets while the models load."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    return listener


async def _serve(models: dict[str, socket.socket]) -> None:
    serving = []
    for path, listener in models.items():
        # as mlflow/pyfunc/scoring_server/app.py does
        loaded = scoring_server.load_model_with_mlflow_config(Path(path).as_uri())
        app = scoring_server.init(loaded)
        serving.append(uvicorn.Server(uvicorn.Config(app)).serve([listener]))
    await asyncio.gather(*serving)


if __name__ == "__main__":
    main(*sys.argv[1:])
