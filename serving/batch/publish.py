"""Merges the finished parts and publishes the output under its final name.

Every step may be repeated: a job that dies while it publishes is resumed and repeats all steps. The
manifest of a file is written last. A directory appears in one step, with `_SUCCESS` and everything
else in it; in an object store its manifest and `_SUCCESS` are uploaded last.
"""

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any

import pyarrow as pa
from mlflow.models import Model

from cloche.serving.batch.job.part import FinishedPart
from cloche.serving.batch.job.pinned_job import Job
from cloche.serving.batch.output import merge_parts
from cloche.serving.batch.output.layout import Output
from cloche.serving.batch.output.work_dir import WorkDir
from cloche.serving.batch.report.render import render
from cloche.serving.batch.storage import atomic_write
from cloche.serving.errors import RESUME, JobFailed


def manifest_of(job: Job, parts: list[FinishedPart], seconds: float) -> dict[str, Any]:
    """Return the manifest of a finished job, as far as its parts decide it."""
    reasons: dict[str, int] = {}
    for part in parts:
        for reason, count in part.reasons.items():
            reasons[reason] = reasons.get(reason, 0) + count
    nulled = Counter[str]()
    for part in parts:
        nulled.update(part.statistics.get("nulled", {}))
    rows = sum(part.rows for part in parts)
    refused = sum(part.refused for part in parts)
    return {
        "job": job.to_json(),
        "rows": rows,
        "scored": rows - refused,
        "refused": refused,
        "predictors": predictors(parts),
        "reasons": reasons,
        "nulled": dict(nulled),
        "seconds": round(seconds, 3),
        "parts": [{"index": one.index, "rows": one.rows, "refused": one.refused} for one in parts],
    }


def predictors(parts: list[FinishedPart]) -> dict[str, int]:
    """Return how many rows the twin scored, and how many the model scored."""
    by_twin = sum(part.by_twin for part in parts)
    return {"onnx": by_twin, "pyfunc": sum(part.scored for part in parts) - by_twin}


class Publisher:
    """Publishes the output of one job."""

    def __init__(self, job: Job, work_dir: WorkDir, output: Output) -> None:
        self._job, self._work_dir, self._output = job, work_dir, output
        self._fresh = work_dir.ready / output.name
        self.merge = merge_parts.IncrementalMerge(job, work_dir.parts, self._fresh)

    def publish(
        self, parts: list[FinishedPart], manifest: dict[str, Any], report: dict[str, Any],
        check_lock: Callable[[], None],
    ) -> dict[str, bytes]:  # fmt: skip
        """Publish the output, its manifest, its reports and its quarantine.

        Args:
            parts: All finished parts, in row order.
            manifest: The manifest (see `manifest_of`); the sizes of the files are added to it.
            report: The report; see `cloche.serving.batch.report.render.document`.
            check_lock: Raises if the output must not be marked as complete.

        Returns:
            The contents of the manifest and the reports, by file name.

        Raises:
            JobFailed: The output cannot be written.
        """
        pages = {"report.json": _json(report), "report.html": render(report).encode()}
        try:
            schema = merge_parts.schema_of(
                self._job, parts, self._work_dir.parts, empty_schema(self._job)
            )
            make = self._directory if self._output.directory else self._file
            pages["manifest.json"] = make(parts, schema, manifest, pages, check_lock)
        except OSError as error:
            raise JobFailed(
                f"{self._output}: cannot be written: {error.strerror}. {RESUME}"
            ) from error
        return {PurePath(self._output.beside(what)).name: page for what, page in pages.items()}

    def _file(
        self, parts: list[FinishedPart], schema: pa.Schema, manifest: dict[str, Any],
        pages: dict[str, bytes], check_lock: Callable[[], None],
    ) -> bytes:  # fmt: skip
        output, ready, fresh = self._output, self._work_dir.ready, self._fresh
        if not self.merge.close(schema):
            merge_parts.assemble(self._job, parts, self._work_dir.parts, schema, fresh)
        manifest["files"] = {output.name: {"size": fresh.stat().st_size}}
        check_lock()  # checked before the first change and again before the last
        output.place.remove(output.beside("manifest.json"))
        for what, page in pages.items():
            output.place.write(output.beside(what), page)
        quarantine = output.beside("quarantine.jsonl")
        if manifest["refused"]:
            self._quarantine(parts, ready / quarantine)
            output.place.put(ready / quarantine, quarantine)
        else:
            output.place.remove(quarantine)
        output.place.put(fresh, output.name)
        check_lock()
        content = _json(manifest)
        output.place.write(output.beside("manifest.json"), content)
        return content

    def _directory(
        self, parts: list[FinishedPart], schema: pa.Schema, manifest: dict[str, Any],
        pages: dict[str, bytes], check_lock: Callable[[], None],
    ) -> bytes:  # fmt: skip
        output = self._output
        merge_parts.unify(self._job, parts, self._work_dir.parts, schema)
        fresh = self._work_dir.ready / output.name
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        manifest["files"] = {}
        for part in parts:
            if part.data is not None:
                place = fresh / f"part-{part.data.name}"
                os.link(self._work_dir.parts / part.data.name, place)
                manifest["files"][f"{output.name}/{place.name}"] = {"size": place.stat().st_size}
        if not manifest["files"]:
            place = fresh / f"part-000000.{output.format}"
            merge_parts.assemble(self._job, parts, self._work_dir.parts, schema, place)
        if manifest["refused"]:
            self._quarantine(parts, fresh / "_quarantine.jsonl")
        content = _json(manifest)
        for what, page in {**pages, "manifest.json": content}.items():
            atomic_write.write(fresh / f"_{what}", page)
        atomic_write.write(fresh / "_SUCCESS", b"")
        check_lock()
        output.place.put_directory(fresh, output.name, ("_manifest.json", "_SUCCESS"), check_lock)
        return content

    def _quarantine(self, parts: list[FinishedPart], place: Path) -> None:
        with place.open("wb") as file:
            file.writelines(merge_parts.quarantine(parts, self._work_dir.parts))
        atomic_write.sync(place)


def empty_schema(job: Job) -> pa.Schema:
    """Return the columns of an output without rows, as far as the signature names them."""
    outputs = Model.load(job.model.path).get_output_schema()
    names = outputs.input_names() if outputs is not None and outputs.has_input_names() else []
    predictions = [str(name) for name in names] or ["prediction"]
    return pa.schema([(name, pa.null()) for name in (*job.layout.carried, *predictions)])


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, indent=1).encode()
