"""Whether a log adds up: what servers counted against the rows that are in its files.

Of each server, model, version and hour (UTC, by the time at which requests were received):

    answered + failed + undelivered = computed = logged + sampled out + dropped, for each reason
    logged = in the files + erased + missing

Undelivered is what a host computed and no caller got: of requests that were tried again, of callers
that had gone, of a shadow, of a stage.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cloche.prediction_log import layout
from cloche.prediction_log.columns import ANSWERED_BELOW
from cloche.prediction_log.destination import Destination
from cloche.prediction_log.erasure import FORGOTTEN, MICROSECONDS_PER_HOUR, SEALED
from cloche.prediction_log.files import prediction_files
from cloche.prediction_log.maintenance.pruning import PRUNED

_DROPPED = "dropped: "
_COLUMNS = ["segment", "request_id", "row", "received_at", "server", "version", "arm", "status",
            "attempt"]  # fmt: skip


class Key(NamedTuple):
    """What is added up apart; `hour` is in hours since 1970, UTC."""

    model: str
    version: str
    hour: int
    server: str

    @property
    def title(self) -> str:
        """The version for people; requests fail without one before the first is loaded."""
        return (
            f"{self.model} version {self.version}" if self.version else f"{self.model}, no version"
        )

    def shown(self) -> str:
        """Return the key for people."""
        hour = datetime.fromtimestamp(self.hour * 3600, UTC)
        return f"{self.title}, {hour:%Y-%m-%d %H}:00 UTC, server {self.server}"


@dataclass
class Sums:
    """What was counted, and what is in the files, in rows.

    Attributes:
        counted: The counts of the server's processes, by their names.
        in_files: The rows in the files.
        failures: Those of them that are failures or refusals.
        repeated: Those of them whose request was tried again, and that are there twice for it.
        shadow: Those of them that a shadow computed.
        erased: The rows that were erased.
    """

    counted: Counter[str] = field(default_factory=Counter)
    in_files: int = 0
    failures: int = 0
    repeated: int = 0
    shadow: int = 0
    erased: int = 0

    @property
    def dropped(self) -> dict[str, int]:
        """The rows that were dropped, by reason."""
        named = {name.removeprefix(_DROPPED): n for name, n in self.counted.items() if n}
        return {name: n for name, n in named.items() if _DROPPED + name in self.counted}

    @property
    def missing(self) -> int:
        """The rows that should be in the files, and are not."""
        answered = self.counted["answered"] + self.counted["failed"]
        # computed, and not logged: a process that was killed may have written before it counted
        computed = max(self.counted["computed"], answered)
        due = computed - self.counted["sampled_out"] - sum(self.dropped.values())
        return max(0, due - self.in_files - self.erased)

    @property
    def undelivered(self) -> int:
        """The rows that were computed and not delivered to a caller."""
        return max(0, self.counted["computed"] - self.counted["answered"] - self.counted["failed"])


@dataclass
class Report:
    """What a check found.

    Attributes:
        sums: The sums by key.
        doubled: Files that have a segment which another file has, too.
    """

    sums: dict[Key, Sums]
    doubled: list[str]

    @property
    def gaps(self) -> dict[Key, int]:
        """The numbers of rows that are missing, where any are."""
        return {key: sums.missing for key, sums in sorted(self.sums.items()) if sums.missing}

    @property
    def adds_up(self) -> bool:
        """Whether nothing is missing, and nothing is there twice."""
        return not self.gaps and not self.doubled

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        return {
            "adds_up": self.adds_up,
            "doubled": self.doubled,
            "sums": [
                {
                    **dict(zip(Key._fields, key, strict=True)),
                    **{name: sums.counted[name] for name in (
                        "answered", "failed", "computed", "logged", "sampled_out")},
                    "dropped": sums.dropped, "in_files": sums.in_files,
                    "failures": sums.failures, "repeated": sums.repeated, "shadow": sums.shadow,
                    "undelivered": sums.undelivered, "erased": sums.erased,
                    "missing": sums.missing,
                }
                for key, sums in sorted(self.sums.items())
            ],
        }  # fmt: skip


def check(destination: Destination, model: str | None, since: date | None) -> Report:
    """Add a log up.

    Args:
        destination: The destination of the log.
        model: The model; None for all.
        since: The first day (UTC); None for all that was not pruned.

    Raises:
        DestinationFailed: The destination does not answer.
    """
    sums: dict[Key, Sums] = defaultdict(Sums)
    for file in destination.files(layout.COUNTS, suffix=".json"):
        counts = json.loads(destination.read(file.path) or b"{}")
        for one in counts.get("counts", ()):
            key = Key(one.pop("model"), one.pop("version"), one.pop("hour"), counts["server"])
            sums[key].counted.update(one)
    pruned = _add_receipts(destination, sums)
    models = {key.model for key in sums} | {
        layout.model_of(file.path)
        for file in destination.files(suffix=".parquet")
        if file.path.startswith("model=")
    }
    first = {name: max(filter(None, [since, pruned.get(name)]), default=None) for name in models}
    doubled: list[str] = []
    for name in sorted(models if model is None else models & {model}):
        doubled += _add_files(destination, name, first[name], sums)
    kept = {
        key: found
        for key, found in sums.items()
        if model in (None, key.model) and _day(key) >= (first.get(key.model) or date.min)
    }
    return Report(kept, doubled)


def _day(key: Key) -> date:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=key.hour)).date()


def _add_receipts(destination: Destination, sums: dict[Key, Sums]) -> dict[str, date]:
    """Add what was erased; return the first day of each model that was not pruned."""
    pruned: list[tuple[str | None, date]] = []
    for file in destination.files(layout.RECEIPTS, suffix=".json"):
        name = file.path.rpartition("/")[2]
        receipt = json.loads(destination.read(file.path) or b"{}")
        if name.startswith(PRUNED):
            pruned.append((receipt["model"], date.fromisoformat(receipt["before"])))
        if name.startswith((FORGOTTEN, SEALED)):
            for rows in receipt.get("rows", {}).values():
                for server, model, version, hour, n in rows:
                    sums[Key(model, version, hour, server)].erased += n
    models = {key.model for key in sums}
    return {
        name: max(days)
        for name in models
        if (days := [day for model, day in pruned if model in (None, name)])
    }


def _add_files(
    destination: Destination, model: str, since: date | None, sums: dict[Key, Sums]
) -> list[str]:
    """Add the rows in the files of a model; return the files that are there twice."""
    doubled: list[str] = []
    segments: dict[tuple[date | None, str], str] = {}
    repeated: set[str] = set()
    for path, table in _tables(destination, model, since):
        day, inside = layout.day_of(path), pc.unique(table["segment"]).to_pylist()
        doubled += [path for one in inside if segments.setdefault((day, one), path) != path]
        again = table.filter(pc.greater(table["attempt"], 1))
        repeated |= set(again["request_id"].to_pylist())
        hours = pc.divide(table["received_at"].cast(pa.int64()), MICROSECONDS_PER_HOUR)
        grouped = (
            table.append_column("hour", hours)
            .group_by(["server", "version", "hour", "arm", "status"])
            .aggregate([([], "count_all")])
        )
        for one in grouped.to_pylist():
            found = sums[Key(model, one["version"], one["hour"], one["server"])]
            found.in_files += one["count_all"]
            found.failures += one["count_all"] * (one["status"] >= ANSWERED_BELOW)
            found.shadow += one["count_all"] * (one["arm"] == "shadow")
    if repeated:
        _add_repeated(destination, model, since, sums, repeated)
    return sorted(set(doubled))


def _add_repeated(
    destination: Destination, model: str, since: date | None, sums: dict[Key, Sums],
    requests: set[str],
) -> None:  # fmt: skip
    """Count the rows that are in the files of an earlier attempt, and of the last, too."""
    times: Counter[tuple[Key, str, int, str]] = Counter()
    wanted = pa.array(sorted(requests))
    for _, table in _tables(destination, model, since):
        found = table.filter(pc.is_in(table["request_id"], wanted))
        for one in found.to_pylist():
            if one["status"] < ANSWERED_BELOW:
                hour = int(one["received_at"].timestamp()) // 3600
                key = Key(model, one["version"], hour, one["server"])
                times[key, one["request_id"], one["row"], one["arm"]] += 1
    for (key, *_), n in times.items():
        sums[key].repeated += n - 1


def _tables(
    destination: Destination, model: str, since: date | None
) -> Iterator[tuple[str, pa.Table]]:
    for file in prediction_files(destination, model, since):
        with destination.filesystem.open_input_file(destination.at(file.path)) as opened:
            yield file.path, pq.ParquetFile(opened).read(columns=_COLUMNS)
