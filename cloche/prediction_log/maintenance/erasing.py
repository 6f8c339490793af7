"""Erasing one person: their predictions, and the labels of these, in every file of the log."""

import hashlib
import io
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cloche.prediction_log import layout
from cloche.prediction_log.columns import REPLACES_KEY
from cloche.prediction_log.destination import Destination, File
from cloche.prediction_log.erasure import FORGOTTEN, rows_by_hour, trace
from cloche.prediction_log.maintenance.compaction import read_file, remove_replaced
from cloche.prediction_log.maintenance.lock import exclusive
from cloche.prediction_log.parquet import parquet
from cloche.values.keyed_hashes import derived_key, keyed_hash


@dataclass
class Receipt:
    """What an erasure rewrites; the person is in it only as a hash of the rows' own hash.

    Attributes:
        erased: When each person was erased, in microseconds since 1970, by `trace`.
        files: The number of rows that are erased of each file.
        rows: The number of predictions that are erased, by file, then by server, model, version
            and hour.
    """

    erased: dict[str, int] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    rows: dict[str, list[list[object]]] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """Return the receipt as it is stored."""
        return json.dumps(vars(self), indent=1, sort_keys=True).encode()


def forget(
    destination: Destination, subject: str, secret: bytes, seal: Callable[[], object]
) -> tuple[str, Receipt]:
    """Erase a person from all models of a log; return the path of the receipt, and the receipt.

    Args:
        destination: The destination of the log.
        subject: The person's id, as requests have it.
        secret: The secret of the hashes, which the servers have as CLOCHE_LOG_KEY.
        seal: Moves what a spool on this machine holds to the destination.

    Raises:
        LogError: Somebody else rewrites files of this log.
        DestinationFailed: The destination does not answer.
    """
    with exclusive(destination):
        seal()
        listed = destination.files(suffix=".parquet")
        models = sorted({model for file in listed if (model := layout.model_of(file.path))})
        hashes = {model: str(keyed_hash(derived_key(secret, model), subject)) for model in models}
        person = hashlib.sha256("\n".join(sorted(map(trace, hashes.values()))).encode())
        path = layout.receipt_file(f"{FORGOTTEN}{person.hexdigest()[:16]}")
        receipt = Receipt(**json.loads(destination.read(path) or b"{}"))
        now = time.time_ns() // 1000
        receipt.erased |= {trace(one): now for one in hashes.values()}
        # first: whoever seals after this leaves the person's rows out
        destination.put(path, receipt.to_json())
        for model in models:
            remove_replaced(destination, model)
        _erase(destination, hashes, receipt, path)
    return path, receipt


def _erase(destination: Destination, hashes: dict[str, str], receipt: Receipt, path: str) -> None:
    predictions, keys = [], {model: (set[str](), set[tuple[str, int]]()) for model in hashes}
    files = destination.files(suffix=".parquet")
    for file in files:
        model = layout.model_of(file.path)
        if not model or _is_of_labels(file) or not _holds(destination, file, hashes[model]):
            continue
        table = _matching(read_file(destination, file.path), hashes[model])
        predictions.append(file)
        by_prediction, by_request = keys[model]
        by_prediction |= set(table["prediction_id"].drop_null().to_pylist())
        by_request |= set(
            zip(table["request_id"].to_pylist(), table["row"].to_pylist(), strict=True)
        )
        receipt.files[file.path] = len(table)
        receipt.rows[file.path] = rows_by_hour(table, model)
    kept_labels = {}
    for file in filter(_is_of_labels, files):
        model = layout.model_of(file.path)
        if model and (found := _kept_labels(destination, file, *keys[model])) is not None:
            kept_labels[file.path], gone = found
            receipt.files[file.path] = gone
    destination.put(path, receipt.to_json())  # before the numbers cannot be counted any more
    # labels first: only the predictions tell which labels are the person's
    for name, table in kept_labels.items():
        _rewrite(destination, name, table, None)
    for file in predictions:
        table = read_file(destination, file.path)
        kept = table.filter(
            pc.fill_null(pc.not_equal(table["subject"], hashes[layout.model_of(file.path)]), True)
        )
        _rewrite(destination, file.path, kept, table.schema.metadata or {})


def _is_of_labels(file: File) -> bool:
    return file.path.startswith((f"{layout.LABELS}/", f"{layout.QUARANTINE}/"))


def _holds(destination: Destination, file: File, hashed: str) -> bool:
    with destination.filesystem.open_input_file(destination.at(file.path)) as opened:
        subjects = pq.read_table(opened, columns=["subject"])["subject"]
    return bool(pc.any(pc.equal(subjects, hashed)).as_py())


def _matching(table: pa.Table, hashed: str) -> pa.Table:
    return table.filter(pc.fill_null(pc.equal(table["subject"], hashed), False))


def _kept_labels(
    destination: Destination, file: File, by_prediction: set[str], by_request: set[tuple[str, int]]
) -> tuple[pa.Table, int] | None:
    """Return the labels of a file that stay, and the number of the others; None if all stay."""
    table = pq.read_table(io.BytesIO(destination.read(file.path) or b""))
    cells = (table[name].to_pylist() for name in ("key_kind", "key", "row"))
    requests = {request for request, _ in by_request}
    gone = [
        key in by_prediction
        if kind == "prediction_id"
        else (key in requests if row is None else (key, row) in by_request)
        for kind, key, row in zip(*cells, strict=True)
    ]
    if not any(gone):
        return None
    return table.filter(pa.array([not one for one in gone])), sum(gone)


def _rewrite(
    destination: Destination, path: str, kept: pa.Table, metadata: dict[bytes, bytes] | None
) -> None:
    if not len(kept) and not layout.is_compacted(path):
        destination.remove(path)
    elif metadata is None:
        sink = pa.BufferOutputStream()
        pq.write_table(kept, sink, compression="zstd")
        destination.put(path, sink.getvalue())
    else:
        texts = {key.decode(): value.decode() for key, value in metadata.items()}
        replaces = json.loads(texts.pop(REPLACES_KEY, "[]"))
        destination.put(path, parquet(kept, texts, replaces))
