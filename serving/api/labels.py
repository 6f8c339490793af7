"""Labels that come by requests: checked as a whole, and spooled for the sealing process.

Whether a label's prediction is in the log is known where the log is read, not here.
"""

import json
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cloche.prediction_log.label_values import label_text
from cloche.serving.spool.log_plan import MACHINE, LogPlan
from cloche.serving.spool.segment import NotSpooled, SegmentWriter
from cloche.serving.web.asgi import HttpError, bad_request

NO_LOG = (
    "This server logs no predictions, so labels have none to join; it was started without --log."
)
_KEYS = ("prediction_id", "request_id")
_FIELDS = (*_KEYS, "row", "label", "time", "retract")
# Checking a label takes some microseconds, in which the front answers nobody.
_MOST_LABELS, _LONGEST_KEY, _LONGEST_LABEL, _LARGEST_ROW = 1_000, 1024, 4096, 2**31
_SHOWN = 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# What a record holds of a label: the kind of its key, the key, row, text, whether it is taken back,
# and when it became known (us).
SpooledLabel = tuple[str, str, int | None, str | None, bool, int | None]


class LabelSpool:
    """Appends the labels of requests to segments, those of each model to its own."""

    def __init__(self, plan: LogPlan) -> None:
        self._plan = plan
        self._segments: dict[str, SegmentWriter] = {}

    def accept(self, model: str, body: bytes) -> int:
        """Spool the labels in the body of a request; return how many.

        Raises:
            HttpError: The body has mistakes, all of which the message names, or the spool takes
                nothing.
        """
        labels = read_labels(body)
        segments = self._segments.get(model)
        if segments is None:
            header = {
                "kind": "labels", "server": self._plan.server, "process": "front", "model": model,
                "version": "", "digest": "", "promise": self._plan.promise,
            }  # fmt: skip
            segments = self._segments[model] = SegmentWriter(
                Path(self._plan.folder), header, spool_bytes=self._plan.spool_bytes
            )
        try:
            segments.append([time.time_ns() // 1000, labels], None, None)
            if self._plan.promise == MACHINE:
                segments.sync()
        except NotSpooled as error:
            raise HttpError(
                503, "TEMPORARILY_UNAVAILABLE",
                f"The labels were not taken ({error.reason}); send them again later.",
            ) from error  # fmt: skip
        return len(labels)

    def close(self) -> None:
        """Close the segments."""
        for segments in self._segments.values():
            segments.close()


def read_labels(body: bytes) -> list[SpooledLabel]:
    """Return the labels of a request's body.

    Raises:
        HttpError: It has mistakes, all of which the message names.
    """
    try:
        document = json.loads(body)
    except ValueError:
        raise bad_request("The body is no JSON document.") from None
    given = document.get("labels") if isinstance(document, dict) else None
    if not isinstance(given, list) or not given or set(document) != {"labels"}:
        raise bad_request('The body has one key, "labels", with a list of at least one label.')
    if len(given) > _MOST_LABELS:
        raise HttpError(
            413, "REQUEST_TOO_LARGE",
            f"A request may have {_MOST_LABELS:,} labels, and this has {len(given):,}; send fewer "
            "at a time, or add a file: cloche labels add",
        )  # fmt: skip
    problems = [f"labels[{at}]{told}" for at, one in enumerate(given) for told in _problems(one)]
    labels = [] if problems else [_spooled(one) for one in given]
    known: dict[tuple[str, str, int | None], tuple[str | None, bool]] = {}
    for at, (kind, key, row, text, retracted, _) in enumerate(labels):
        if known.setdefault((kind, key, row), (text, retracted)) != (text, retracted):
            problems.append(f"labels[{at}]: {kind} {key!r} has another label in this request")
    if problems:
        more = f"; and {len(problems) - _SHOWN:,} more" if len(problems) > _SHOWN else ""
        raise bad_request(f"Nothing was taken: {'; '.join(problems[:_SHOWN])}{more}.")
    return list(dict.fromkeys(labels))


def _problems(one: Any) -> Iterator[str]:
    """Return what is wrong with a label, each after the label's place."""
    if not isinstance(one, dict):
        yield ": is no object"
        return
    if unknown := [name for name in one if name not in _FIELDS]:
        yield f": {', '.join(map(repr, unknown))} is not known; there are {', '.join(_FIELDS)}"
    keys = [name for name in _KEYS if name in one]
    if len(keys) != 1:
        yield ": needs either prediction_id or request_id"
    for name in keys:
        if not isinstance(one[name], str) or not 0 < len(one[name]) <= _LONGEST_KEY:
            yield f".{name}: is no text of 1 to {_LONGEST_KEY} characters"
    row = one.get("row")
    whole = isinstance(row, int) and not isinstance(row, bool)
    if row is not None and not (whole and 0 <= row < _LARGEST_ROW):
        yield ".row: is no whole number from 0"
    if "time" in one and _moment(one["time"]) is None:
        yield ".time: is no time in ISO 8601, like 2026-01-31T14:05:00Z"
    yield from _label_problems(one)


def _label_problems(one: Mapping[str, Any]) -> Iterator[str]:
    retract, label = one.get("retract", False), one.get("label")
    if not isinstance(retract, bool):
        yield ".retract: is neither true nor false"
    elif retract and label is not None:
        yield ".label: is given and taken back at once"
    elif not retract:
        try:
            if len(label_text(label)) > _LONGEST_LABEL:
                yield f".label: is longer than {_LONGEST_LABEL:,} characters"
        except ValueError:
            yield ".label: is no text, number, true or false"


def _spooled(one: Mapping[str, Any]) -> SpooledLabel:
    kind = next(name for name in _KEYS if name in one)
    retracted = one.get("retract", False)
    text = None if retracted else label_text(one["label"])
    moment = _moment(one["time"]) if "time" in one else None
    return kind, one[kind], one.get("row"), text, retracted, moment


def _moment(text: Any) -> int | None:
    """Return a time in microseconds since 1970, in UTC if it has no zone; None if it is none."""
    try:
        moment = datetime.fromisoformat(text)
        utc = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return (utc - _EPOCH) // timedelta(microseconds=1)
    except (TypeError, ValueError, OverflowError):
        return None
