"""Checks whether a job may start, continue or is finished, given earlier jobs of this output."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from mlflow.models import Model
from mlflow.types import Schema

from cloche.registry.env_manager import LOCAL
from cloche.registry.installed_packages import mismatches
from cloche.registry.stage_names import members
from cloche.serving.batch.input.csv_options import PLAIN, CsvOptions, merge
from cloche.serving.batch.input.csv_types import UNCLEAR
from cloche.serving.batch.input.inputs import Inputs
from cloche.serving.batch.input.readers.csv import HeaderUndecodable
from cloche.serving.batch.job.options import JobOptions
from cloche.serving.batch.job.part import FinishedPart
from cloche.serving.batch.job.pinned_job import Job, Layout, PinnedVersion
from cloche.serving.batch.output.layout import Output
from cloche.serving.batch.output.work_dir import WorkDir
from cloche.serving.batch.scoring.batch_twin import choose_twin
from cloche.serving.batch.scoring.kept_proofs import KeptProofs
from cloche.serving.batch.version_pinning import pin, pin_again
from cloche.serving.errors import JobFailed, JobRefused, SettingsError
from cloche.values import tensors
from cloche.values.progress import Say

_METADATA = "cloche"  # key in the metadata of models that Cloche trained


def finished(
    request: JobOptions, inputs: Inputs, output: Output, work_dir: WorkDir
) -> dict[str, Any] | None:
    """Return the manifest of the same job, if that job is finished; else None.

    Raises:
        JobRefused: The output exists already and is not from this job.
    """
    record = output.manifest()
    if record is None:
        if not work_dir.begun and output.occupied:
            raise JobRefused(
                f"{output} is there already, not from a finished job. Write elsewhere, "
                "or replace it with --overwrite."
            )
        return None
    difference = _difference(request, inputs, output, Job.from_json(record["job"]))
    if not difference and not inputs.has_fingerprints and not request.resume:
        difference = "nobody knows whether its input is still the same"
    if difference:
        raise JobRefused(
            f"{output} is finished, but {difference}. Write elsewhere, or replace it with "
            "--overwrite."
        )
    return record


def pin_job(request: JobOptions, inputs: Inputs, output: Output, say: Say) -> Job:
    """Pin a new job: its version, inputs, layout and column types.

    Raises:
        JobFailed: The input lacks columns that the version needs.
        SettingsError: The input lacks columns that the output should have.
        ServingError: The version cannot be pinned.
    """
    model = pin(request.model, request.cache, request.before)
    environment = _environment(request, model)
    if differs := environment["differs"]:
        say(
            f"this environment is not the one that {model} was logged with: {', '.join(differs)}. "
            "Score in one of its own with --env-manager uv, or install what it asks for."
        )
    if request.acceleration:
        proven = request.env_manager == LOCAL and KeptProofs(request.cache).has(model)
        twin = choose_twin(Path(model.path), model.twin, say, proven)
    else:
        twin = ""
    model = replace(model, twin=twin)
    description = Model.load(model.path)
    schema = description.get_input_schema()
    _, takes_rows = members(Path(model.path))[0]
    csv_options = _csv_options(request, inputs, Model.load(takes_rows), say)
    _refuse_lacking(inputs, _needed(schema), f", which {model} needs")
    layout = _layout(request, inputs, output)
    features = _features(request, inputs, schema)
    named = schema is not None and schema.has_input_names() and not features
    if schema is not None and schema.is_tensor_spec() and named:
        tensors_named = [str(name) for name in schema.required_input_names()]
        _refuse_lacking(inputs, tensors_named, f", which {model} needs")
    if layout.carried:
        _refuse_lacking(inputs, list(layout.carried), "")
    inferred = {} if named else inputs.inferred()
    if schema is None:
        _refuse_unclear(inferred, model)
    return Job(
        model, inputs.fingerprints, layout, request.part_rows, request.limit.given,
        inferred, features, environment, csv_options.options,
    )  # fmt: skip


def _needed(schema: Schema | None) -> list[str]:
    """Return the columns that a version requires; a tensor signature requires none by name."""
    if schema is None or schema.is_tensor_spec() or not schema.has_input_names():
        return []
    return [str(name) for name in schema.required_input_names()]


def _refuse_lacking(inputs: Inputs, needed: list[str], why: str) -> None:
    """Refuse an input that lacks columns, or whose header cannot be read.

    Raises:
        JobFailed: Columns are missing, or the header cannot be decoded.
    """
    try:
        absent = inputs.lacking(needed)
    except HeaderUndecodable as error:
        raise JobFailed(f"{error} {inputs.advice(needed)}") from error
    if absent:
        raise JobFailed(f"{absent}{why}. {inputs.advice(needed)}".rstrip())


def _csv_options(request: JobOptions, inputs: Inputs, description: Model, say: Say) -> CsvOptions:
    """Choose the CSV options of the input: the given ones override those of the training table.

    Scored tables need not be written like the training table: if the version's columns are found
    only with the default options, the defaults are used.

    Raises:
        SettingsError: An option is invalid, or options are given for input that is not CSV.
    """
    if not inputs.takes_options:
        if request.options:
            raise SettingsError("--options are for CSV, and no CSV is in INPUT. Leave them out.")
        return PLAIN
    carried = (description.metadata or {}).get(_METADATA) or {}
    recorded = carried.get("reading") or {}
    csv_options = merge(recorded, request.options)
    schema = description.get_input_schema()
    needed = _needed(schema)
    inputs.set_csv_options(csv_options)
    if csv_options == PLAIN or request.options:
        return csv_options
    if _lacking(inputs, needed):
        inputs.set_csv_options(PLAIN)
        if not _lacking(inputs, needed):
            say(f"read as plain CSV: read like the table of the training ({csv_options}), it lacks "
                "columns")  # fmt: skip
            return PLAIN
        inputs.set_csv_options(csv_options)
    say(f"read like the table of the training: {csv_options} (--options gives others)")
    return csv_options


def _lacking(inputs: Inputs, needed: list[str]) -> bool:
    try:
        return bool(inputs.lacking(needed))
    except JobFailed:  # with these options the header cannot be read
        return True


def _refuse_unclear(inferred: dict[str, dict[str, str]], model: PinnedVersion) -> None:
    """Refuse columns whose type in a single part cannot be made the one that MLflow finds overall.

    Raises:
        JobFailed: The input has such a column.
    """
    for name, types in inferred.items():
        for column, kind in types.items():
            if kind in UNCLEAR:
                raise JobFailed(
                    f"{name}: the column {column!r} {UNCLEAR[kind]}, and {model} has no signature "
                    "that says what it is. Log the model with a signature, or write the column in "
                    "one plain type."
                )


def resume_job(
    request: JobOptions, inputs: Inputs, output: Output, work_dir: WorkDir
) -> tuple[Job, dict[str, Any], dict[int, FinishedPart]]:
    """Return the unfinished job of this output, its notes, and its finished parts by index.

    Raises:
        JobRefused: `--resume` was not given; or the input, the version or the options have changed.
    """
    job, notes = work_dir.job()
    done = work_dir.finished()
    if not request.resume:
        raise JobRefused(
            f"{output}: a job with {job.model} was not finished; {len(done)} parts are done. "
            "Go on with --resume, or begin anew with --overwrite."
        )
    difference = _difference(request, inputs, output, job)
    if not all(isinstance(types, dict) for types in job.inferred.values()):
        difference = "it was begun by an older release, which read such a version's table otherwise"
    if difference:
        raise JobRefused(
            f"{output}: the job cannot go on: {difference}. Begin anew with --overwrite."
        )
    model = pin_again(job.model, request.cache)
    if job.environment and job.environment != (now := _environment(request, model)):
        raise JobRefused(
            f"{output}: the job cannot go on: it was begun {_in_words(job.environment)}, and "
            f"is asked for {_in_words(now)}. Begin anew with --overwrite."
        )
    return replace(job, model=model), notes, done


def _environment(request: JobOptions, model: PinnedVersion) -> dict[str, Any]:
    """Return the `environment` of a job; see `cloche.serving.batch.job.pinned_job.Job`."""
    local = request.env_manager == LOCAL
    return {
        "manager": request.env_manager, "differs": mismatches(Path(model.path)) if local else []
    }  # fmt: skip


def _in_words(environment: dict[str, Any]) -> str:
    differs = ", ".join(environment["differs"])
    return f"with --env-manager {environment['manager']}{f' ({differs})' if differs else ''}"


def _difference(request: JobOptions, inputs: Inputs, output: Output, before: Job) -> str:
    """Return what differs between this request and an earlier job; empty if nothing does.

    With `--resume` the pinned version is kept, even if the alias has moved in the meantime.
    """
    for name, state in inputs.fingerprints.items():
        if name not in before.fingerprints:
            return f"{name} was not part of its input"
        if before.fingerprints[name] != state:
            return f"{name} has changed since"
    if gone := before.fingerprints.keys() - inputs.fingerprints.keys():
        return f"{min(gone)} is gone"
    return _other_options(request, inputs, output, before)


def _other_options(request: JobOptions, inputs: Inputs, output: Output, before: Job) -> str:
    inputs.set_csv_options(CsvOptions(before.csv_options))
    given = merge({}, request.options).options
    if any(before.csv_options.get(name) != value for name, value in given.items()):
        return "it was begun with other --options"
    begun = before.model.uri, before.model.before
    if (request.model, request.before) != begun or not request.resume:
        model = pin(request.model, request.cache, request.before)
        if model.identity != before.model.identity:
            return f"it was begun with {before.model}, and {request.model} is {model} now"
    if before.model.twin and not request.acceleration:
        return "it was begun with the accelerated twin"
    if _layout(request, inputs, output) != before.layout:
        return "it was asked for other columns or another format"
    return ""


def _features(request: JobOptions, inputs: Inputs, schema: Schema | None) -> tuple[str, ...]:
    """Return the columns of the signature's only tensor: all columns but the id columns.

    Raises:
        JobFailed: The columns do not have the width of the tensor.
    """
    if schema is None or not schema.is_tensor_spec():
        return ()
    found = inputs.columns()
    spec = tensors.joint_tensor(schema, found)
    if spec is None:
        return ()
    features = tuple(name for name in found if name not in request.id_columns)
    if spec.name is None and len(features) == 1:  # a single column may hold lists
        return features if request.id_columns else ()
    try:
        tensors.check_width(spec, features)
    except tensors.UnfitTable as unfit:
        raise JobFailed(
            f"The input does not fit: {unfit}. Name columns that are no values of it with "
            "--id-column, or leave them out of the input."
        ) from unfit
    return features


def _layout(request: JobOptions, inputs: Inputs, output: Output) -> Layout:
    carried: tuple[str, ...] = request.id_columns
    if request.keep or carried:
        names = inputs.columns()
        for name in carried:
            if name not in names:
                raise SettingsError(
                    f"--id-column {name}: the input has no such column; it has {', '.join(names)}."
                )
        carried = tuple(names) if request.keep else carried
    return Layout(output.format, output.directory, carried, request.stamped)
