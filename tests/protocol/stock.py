"""MLflow's scoring server for several models: `python stock.py DESCRIPTOR=MODEL...`.

Each model gets the application that `mlflow models serve` runs, on a bound socket of its own and
served by uvicorn as there. One process spares all but one of them the seconds of MLflow's imports.
"""

import asyncio
import socket
import sys
from pathlib import Path

import uvicorn
from mlflow.pyfunc import scoring_server


async def main(*models: str) -> None:
    """Serve until the process is killed."""
    serving = []
    for model in models:
        descriptor, _, path = model.partition("=")
        # as mlflow/pyfunc/scoring_server/app.py does
        loaded = scoring_server.load_model_with_mlflow_config(Path(path).as_uri())
        app = scoring_server.init(loaded)
        server = uvicorn.Server(uvicorn.Config(app))
        serving.append(server.serve([socket.socket(fileno=int(descriptor))]))
    await asyncio.gather(*serving)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
