"""`python -m benchmarks.bodies`: one request of many rows, in each layout of MLflow's protocol."""

import argparse
import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pandas as pd
import requests

from benchmarks import catalog, command, tables
from benchmarks.errors import NotServing
from benchmarks.models.store import trained
from benchmarks.place import Place, Question
from benchmarks.processes import free_port, serving

_CONTENDERS: Final = ("mlflow", "cloche", "cloche_no_acceleration")


def main() -> None:
    """Measure, and print the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bodies", description=__doc__)
    parser.add_argument("--contenders", nargs="+", choices=_CONTENDERS, default=_CONTENDERS)
    parser.add_argument("--layouts", nargs="+", choices=LAYOUTS, default=list(LAYOUTS))
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    command.add_options(parser)
    chosen = parser.parse_args()
    made = trained("twelve", chosen.cache / "models", chosen.comments)
    path = tables.table(chosen.rows, "parquet", chosen.cache / "tables")
    table = pd.read_parquet(path).drop(columns="id").round(4)  # within --max-body
    seconds: dict[tuple[str, str], list[float]] = {}
    with ExitStack() as running:
        urls = {}
        for name in chosen.contenders:
            folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
            place = Place(Path(sys.executable), made.uri, free_port(), folder)
            one, url = catalog.CONTENDERS[name], f"http://127.0.0.1:{place.port}"
            line, variables = one.command(place), {"MLFLOW_TRACKING_URI": made.registry}
            running.enter_context(serving(line, variables, folder, url + one.ready))
            urls[name] = url
        for layout in chosen.layouts:
            question = LAYOUTS[layout](table)
            for number in range(chosen.rounds + 1):  # the first round warms up
                for name, url in urls.items():
                    taken = _ask(url, question)
                    if number:
                        seconds.setdefault((layout, name), []).append(taken)
    print(f"{'layout':10}" + "".join(f"{name:>36}" for name in chosen.contenders))
    for layout in chosen.layouts:
        found = [seconds[layout, name] for name in chosen.contenders]
        told = [f"{statistics.median(one):.3f} s (least {min(one):.3f})" for one in found]
        print(f"{layout:10}" + "".join(f"{one:>36}" for one in told))


def _ask(url: str, question: Question) -> float:
    """Send a request, and return the seconds until its whole answer has arrived.

    Raises:
        NotServing: The status of the answer is not 200.
    """
    started = time.perf_counter()
    answer = requests.post(
        url + question.path, question.body, headers=question.headers, timeout=600
    )
    taken = time.perf_counter() - started
    if answer.status_code != 200:
        raise NotServing(answer.text[:400])
    return taken


def csv(table: pd.DataFrame) -> Question:
    """Build a request in CSV."""
    body = table.to_csv(index=False).encode()
    return Question("/invocations", body, {"Content-Type": "text/csv"})


def parquet(table: pd.DataFrame) -> Question:
    """Build a request in Parquet."""
    body = io.BytesIO()
    table.to_parquet(body)
    media_type = "application/vnd.apache.parquet"
    return Question("/invocations", body.getvalue(), {"Content-Type": media_type})


def split(table: pd.DataFrame) -> Question:
    """Build a request in the layout `dataframe_split`."""
    return _json("dataframe_split", table.to_json(orient="split", index=False))


def records(table: pd.DataFrame) -> Question:
    """Build a request in the layout `dataframe_records`."""
    return _json("dataframe_records", table.to_json(orient="records"))


def _json(layout: str, content: str) -> Question:
    return Question("/invocations", f'{{"{layout}": {content}}}'.encode())


LAYOUTS: Final[dict[str, Callable[[pd.DataFrame], Question]]] = {
    "csv": csv,
    "parquet": parquet,
    "split": split,
    "records": records,
}


if __name__ == "__main__":
    command.run(main)
