"""The order of the steps of a job, from the pinned version to the finished output."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import pyarrow as pa
from mlflow.models import Model

from serving.batch import assembly, durable
from serving.batch.columns import columns
from serving.batch.engine import Engine, LocalEngine
from serving.batch.job import COLUMNAR, Job, Layout
from serving.batch.limit import Limit
from serving.batch.manifest import Manifest, owned
from serving.batch.output import Output
from serving.batch.part import FinishedPart, Part
from serving.batch.pinning import pin, pin_again
from serving.batch.plan import Planner
from serving.batch.progress import Report
from serving.batch.sources import InputFile, find
from serving.errors import JobFailed, JobRefused, SettingsError

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a person asked for.

    Attributes:
        model: The model URI.
        source: Path, glob, directory or URI of the input.
        output: Where the predictions go.
        input_format: How the input is written; None goes by its name.
        id_columns: Input columns that go into the output.
        keep: Whether all of them do.
        stamped: Whether each row names model, version and run.
        limit: How many rows may be refused.
        resume: Go on with what an earlier job left.
        overwrite: Forget what is there.
        workers: How many processes score.
        part_rows: Most rows of a part.
        part_bytes: Most bytes of a part of text.
        cache: Where fetched versions are kept.
    """

    model: str
    source: str
    output: Output
    input_format: str | None = None
    id_columns: tuple[str, ...] = ()
    keep: bool = False
    stamped: bool = False
    limit: Limit = field(default_factory=Limit)
    resume: bool = False
    overwrite: bool = False
    workers: int = 1
    part_rows: int = 65_536
    part_bytes: int = 8 << 20
    cache: Path = Path()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended.

    Attributes:
        record: What its manifest says, see `_record`.
        fresh: Whether anything was done; not if the job was finished already.
    """

    record: dict[str, Any]
    fresh: bool

    @property
    def quarantined(self) -> int:
        """Rows in quarantine."""
        refused: int = self.record["refused"]
        return refused


def score(request: Request, say: Say, report: Report) -> Outcome:
    """Do a job, go on with it, or find it done.

    Raises:
        JobRefused: Another job owns the output, or what it began from has changed.
        JobFailed: It cannot go on; what was done stays done.
        ServingError: The version cannot be pinned.
    """
    started = perf_counter()
    with owned(request.output.path) as manifest:
        files = find(request.source, request.input_format)
        if not request.overwrite and (record := _complete(request, files, manifest)):
            return Outcome(record, fresh=False)
        job, done = _begin(request, files, manifest, say)
        planner = Planner(job.part_rows, job.part_bytes, manifest.spool)
        if not done:
            job = _with_types(job, planner, files)
        engine = LocalEngine(request.workers)
        finished = _finish_parts(job, engine, planner, files, manifest, done, request, report)
        record = _record(job, finished, perf_counter() - started)
        _publish(job, finished, manifest, request.output, record)
        manifest.remove()
    return Outcome(record, fresh=True)


def _complete(
    request: Request, files: list[InputFile], manifest: Manifest
) -> dict[str, Any] | None:
    """The record of the same job, if it is finished.

    Raises:
        JobRefused: There is another output.
    """
    record = request.output.manifest()
    if record is None:
        if request.output.path.exists() and not manifest.begun and not _empty(request.output.path):
            raise JobRefused(
                f"{request.output.path} is there, and no finished job of Cloche's. Write elsewhere, "
                "or replace it with --overwrite."
            )
        return None
    before = Job.from_json(record["job"])
    if difference := _difference(request, files, before):
        raise JobRefused(
            f"{request.output.path} is finished, but {difference}. Write elsewhere, or replace it "
            "with --overwrite."
        )
    if manifest.begun:  # it died between its last two steps
        manifest.remove()
    return record


def _begin(
    request: Request, files: list[InputFile], manifest: Manifest, say: Say
) -> tuple[Job, dict[int, FinishedPart]]:
    """The pinned job, and the parts that an earlier run of it finished."""
    if manifest.begun and request.overwrite:
        manifest.clear()
    if manifest.begun:
        job, _ = manifest.job()
        manifest.mend()
        done = manifest.finished()
        if not request.resume:
            raise JobRefused(
                f"{request.output.path}: a job with {job.model} was not finished; {len(done)} of its "
                "parts are. Go on with --resume, or begin anew with --overwrite."
            )
        if difference := _difference(request, files, job):
            raise JobRefused(
                f"{request.output.path}: the job cannot go on: {difference}. Begin anew with "
                "--overwrite."
            )
        job = replace(job, model=pin_again(job.model, request.cache))
        say(f"going on with {job.model} after {len(done)} finished parts")
        return job, done
    model = pin(request.model, request.cache)
    say(f"scoring with {model}")
    layout = Layout(
        request.output.format, request.output.directory, _carried(request, files), request.stamped
    )
    inputs = {file.name: file.fingerprint for file in files}
    options = {"format": request.input_format, "patient": request.limit.given}
    job = Job(model, inputs, layout, request.part_rows, request.part_bytes, options)
    _check_columns(job, files)
    manifest.begin(job, {})
    return job, {}


def _difference(request: Request, files: list[InputFile], before: Job) -> str:
    """What differs between what is asked for now and an earlier job; nothing if it is the same."""
    for file in files:
        if file.name not in before.inputs:
            return f"{file.name} was not part of its input"
        if before.inputs[file.name] != file.fingerprint:
            return f"{file.name} has changed since"
    gone = before.inputs.keys() - {file.name for file in files}
    if gone:
        return f"{min(gone)} is gone"
    if request.model != before.model.uri or not request.resume:
        model = pin(request.model, request.cache)
        if (model.artifacts, model.digest) != (before.model.artifacts, before.model.digest):
            return f"it was begun with {before.model}, and {request.model} is {model} now"
    layout = Layout(
        request.output.format, request.output.directory, _carried(request, files), request.stamped
    )
    if layout != before.layout or before.options["format"] != request.input_format:
        return "it was asked for other columns or another format"
    return ""


def _carried(request: Request, files: list[InputFile]) -> tuple[str, ...]:
    """Input columns that go into the output.

    Raises:
        SettingsError: One is not there.
    """
    if not request.keep and not request.id_columns:
        return ()
    names = columns(files[0])
    for name in request.id_columns:
        if name not in names:
            raise SettingsError(
                f"--id-column {name}: {files[0].name} has no such column; it has {', '.join(names)}."
            )
    return tuple(names) if request.keep else request.id_columns


def _check_columns(job: Job, files: list[InputFile]) -> None:
    """Find out before anything is scored whether the files have the columns.

    Raises:
        JobFailed: One has not.
    """
    schema = Model.load(job.model.path).get_input_schema()
    named = schema is not None and schema.has_input_names()
    needed = [str(name) for name in schema.required_input_names()] if named else []
    for file in files:
        if file.format == "jsonl":
            continue  # each row has keys of its own
        found = set(columns(file))
        absent = [name for name in (*needed, *job.layout.carried) if name not in found]
        if absent:
            raise JobFailed(f"{file.name}: it lacks columns: {', '.join(dict.fromkeys(absent))}.")


def _with_types(job: Job, planner: Planner, files: list[InputFile]) -> Job:
    return job


def _finish_parts(
    job: Job,
    engine: Engine,
    planner: Planner,
    files: list[InputFile],
    manifest: Manifest,
    done: dict[int, FinishedPart],
    request: Request,
    report: Report,
) -> list[FinishedPart]:
    """All parts in row order; those that are not done yet are scored now."""
    weights: dict[int, int] = {}
    whole = _weight(files)

    def left() -> Iterator[Part]:
        for part in planner.parts(files, frozenset(done)):
            weights[part.index] = part.stop - part.start
            if part.index not in done:
                yield part

    finished = dict(done)
    rows = sum(part.rows for part in done.values())
    refused = sum(part.refused for part in done.values())
    weight = 0
    for part in engine.run(job, left(), manifest.parts):
        manifest.record(part)
        finished[part.index] = part
        rows, refused = rows + part.rows, refused + part.refused
        weight = sum(weights.get(index, 0) for index in finished) if whole else 0
        report(rows=rows, refused=refused, done=min(1.0, weight / whole) if whole else None)
        request.limit.check(refused, rows, all_read=False)
    _refuse_changed(job, request)
    request.limit.check(refused, rows, all_read=True)
    return [finished[index] for index in sorted(finished)]


def _weight(files: list[InputFile]) -> int:
    """What the parts' starts and stops add up to; 0 if nobody knows."""
    if any(file.packed for file in files) or any(file.format in COLUMNAR for file in files):
        return 0
    return sum(file.size for file in files)


def _refuse_changed(job: Job, request: Request) -> None:
    """Find out whether the input stayed what it was while it was scored."""
    for file in find(request.source, request.input_format):
        if job.inputs.get(file.name) != file.fingerprint:
            raise JobFailed(
                f"{file.name}: it changed while it was scored. Score it again with --overwrite when "
                "it is complete."
            )


def _record(job: Job, parts: list[FinishedPart], seconds: float) -> dict[str, Any]:
    """What the manifest says of a finished job."""
    reasons: dict[str, int] = {}
    for part in parts:
        for reason, count in part.reasons.items():
            reasons[reason] = reasons.get(reason, 0) + count
    rows = sum(part.rows for part in parts)
    refused = sum(part.refused for part in parts)
    return {
        "job": job.to_json(),
        "rows": rows,
        "scored": rows - refused,
        "refused": refused,
        "reasons": reasons,
        "parts": [{"index": one.index, "rows": one.rows, "refused": one.refused} for one in parts],
        "seconds": round(seconds, 3),
    }


def _publish(
    job: Job, parts: list[FinishedPart], manifest: Manifest, output: Output, record: dict[str, Any]
) -> None:
    """Put everything together and let it appear under its final name, the manifest last."""
    schema = assembly.schema_of(job, parts, manifest.parts, _empty_schema(job))
    try:
        if output.directory:
            _publish_directory(job, parts, manifest, output, schema, record)
        else:
            _publish_file(job, parts, manifest, output, schema, record)
    except OSError as error:
        raise JobFailed(
            f"{output.path}: cannot be written: {error.strerror}. Go on with --resume."
        ) from error


def _publish_file(
    job: Job, parts: list[FinishedPart], manifest: Manifest, output: Output, schema: pa.Schema,
    record: dict[str, Any],
) -> None:  # fmt: skip
    fresh = manifest.ready / output.path.name
    assembly.assemble(job, parts, manifest.parts, schema, fresh)
    quarantine = output.beside("quarantine.jsonl")
    _write_quarantine(parts, manifest, manifest.ready / quarantine.name)
    record["files"] = {output.path.name: {"size": fresh.stat().st_size}}
    output.beside("manifest.json").unlink(missing_ok=True)
    if record["refused"]:
        durable.move(manifest.ready / quarantine.name, quarantine)
    else:
        quarantine.unlink(missing_ok=True)
    durable.move(fresh, output.path)
    durable.write(output.beside("manifest.json"), _json(record))


def _publish_directory(
    job: Job, parts: list[FinishedPart], manifest: Manifest, output: Output, schema: pa.Schema,
    record: dict[str, Any],
) -> None:  # fmt: skip
    import shutil  # noqa: PLC0415

    assembly.unify(job, parts, manifest.parts, schema)
    fresh = manifest.ready / output.path.name
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    record["files"] = {}
    for part in parts:
        if part.data is not None:
            name = f"part-{part.data.name}"
            os.link(manifest.parts / part.data.name, fresh / name)
            size = (fresh / name).stat().st_size
            record["files"][f"{output.path.name}/{name}"] = {"size": size}
    if record["refused"]:
        _write_quarantine(parts, manifest, fresh / "_quarantine.jsonl")
    durable.write(fresh / "_manifest.json", _json(record))
    durable.write(fresh / "_SUCCESS", b"")
    if output.path.exists():
        shutil.rmtree(output.path) if output.path.is_dir() else output.path.unlink()
    durable.move(fresh, output.path)


def _write_quarantine(parts: list[FinishedPart], manifest: Manifest, place: Path) -> None:
    with place.open("wb") as file:
        file.writelines(assembly.quarantine(parts, manifest.parts))
    durable.sync(place)


def _empty_schema(job: Job) -> pa.Schema:
    """The columns of an output without rows, as far as the signature tells them."""
    outputs = Model.load(job.model.path).get_output_schema()
    names = outputs.input_names() if outputs is not None and outputs.has_input_names() else []
    predictions = [str(name) for name in names] or ["prediction"]
    return pa.schema([(name, pa.null()) for name in (*job.layout.carried, *predictions)])


def _json(record: dict[str, Any]) -> bytes:
    return json.dumps(record, indent=1).encode()


def _empty(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())
