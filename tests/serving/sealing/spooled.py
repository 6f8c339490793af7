"""Spools that tests write, and what is at a destination afterwards."""

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cloche.serving.spool.counters import Counters
from cloche.serving.spool.segment import SegmentWriter

NOON = 1_764_590_400_000_000  # 2025-12-01 12:00 UTC, in microseconds
DAY = 86_400_000_000
HEADER = {
    "server": "5e12", "process": "host", "model": "flight delay", "version": "7", "digest": "d1",
    "promise": "process", "inputs": [["a", "double"], ["c", "string"]], "hashed": [],
}  # fmt: skip


def request(name: str, moment: int = NOON, rows: int = 1, **changed: Any) -> list[Any]:
    """A request as a record has it."""
    fields = {
        "request_id": name, "received_at": moment, "rows": rows, "status": 200, "reason": "",
        "predictor": "twin", "arm": "production", "door": "mlflow", "attempt": 1, "inclusion": 1.0,
        "queue_us": 12, "model_us": 345, "prediction_id": None, "subject": None,
    }  # fmt: skip
    return list((fields | changed).values())


def failure(name: str, moment: int = NOON, status: int = 429, **changed: Any) -> list[Any]:
    """A request that was refused or failed."""
    more = {"status": status, "reason": "TOO_MANY", "predictor": None, **changed}
    return request(name, moment, 0, **more)


def writer(spool: Path, **header: Any) -> SegmentWriter:
    return SegmentWriter(spool, HEADER | header, spool_bytes=1 << 30)


def spool_of(spool: Path, days: int = 2, rows: int = 40, **header: Any) -> None:
    """Write a segment with requests of some days, and the counts of its process."""
    out = writer(spool, **header)
    counted = Counters(spool, {"server": {**HEADER, **header}["server"], "process": "host"})
    names = {name: {**HEADER, **header}[name] for name in ("model", "version")}
    for number in range(rows):
        moment = NOON + number * days * DAY // rows
        cells = {"a": [number / 7], "c": [f"person-{number % 3}"]}
        about = {"subject": [f"hash-{number % 3}"], "prediction_id": f"p-{number}"}
        out.append([request(f"r-{number}", moment, **about)], cells, {"": [number * 0.5]})
        for what in ("answered", "computed", "logged"):
            counted.add(what, 1, received_at=moment, **names)
    out.close()
    counted.close()


def rows_at(destination: Path) -> pa.Table:
    """All rows of all files, replaced or not."""
    files = sorted((destination).glob("model=*/date=*/*.parquet"))
    return pa.concat_tables([pq.ParquetFile(f).read() for f in files], promote_options="default")


def events(table: pa.Table) -> Counter[tuple[str, int]]:
    """How often each row is there."""
    return Counter(zip(table["segment"].to_pylist(), table["place"].to_pylist(), strict=True))
