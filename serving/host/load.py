"""Loads one version; the host reports that it is ready when the input example was scored."""

import json
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import mlflow
from mlflow.models import Model
from mlflow.pyfunc import PyFuncModel

from cloche.registry.installed_packages import mismatches
from cloche.serving.host import frameworks
from cloche.serving.host.log_records.prediction_log import PredictionLog
from cloche.serving.host.parsing.column_decoder import (
    ColumnDecoder,
    compile_decoder,
    has_type_hints,
)
from cloche.serving.host.parsing.content_types import JSON
from cloche.serving.host.predictors.twin import ANY, Twin, TwinUnusable
from cloche.serving.host.reference_profile import load_profile, usual_values
from cloche.serving.host.scoring import HostScorer
from cloche.serving.host.twin_first import LoadedVersion, TwinFirstScorer
from cloche.serving.processes.frames import TABLE_BODY, Item

_logger = logging.getLogger(__name__)
_WARM_UP_SIZES = (1, 8, 64)
_UNSCORED = "The model cannot score its own input example"
_parse = json.JSONDecoder().decode  # bound before a model's code can replace it
# Modules that only some versions import, and that later versions are likely to import, too.
_SLOW_IMPORTS = ("skops.io",)


class LoadRefused(Exception):
    """The version was loaded but cannot serve."""


def load(
    path: Path, *, twin: str = ANY, name: str = "", version: str = "", as_stage: bool = False,
    log: PredictionLog | None = None,
) -> LoadedVersion:  # fmt: skip
    """Load and warm up the version at `path`.

    Args:
        path: The folder of the version's artifacts.
        twin: The digest of the accelerated twin that may answer; ANY, or empty for no twin.
        name: The name by which the model is served.
        version: The number of the version.
        as_stage: Whether it answers with tables for the next version, which no protocol writes.
        log: The prediction log; None for none.

    Returns:
        The version's scorer, and its description for the front.

    Raises:
        LoadRefused: The model cannot score its own input example.
        Exception: Any error of MLflow or the model's code while loading.
    """
    if unmet := mismatches(path):
        _logger.warning(
            "This environment is not the one that the version was logged with: %s. Serve it with "
            "--env-manager uv, or install what it asks for.", ", ".join(unmet),
        )  # fmt: skip
    return prepare_scorer(
        frameworks.load(path), path, twin=twin, name=name, version=version, as_stage=as_stage,
        log=log,
    )  # fmt: skip


def prepare_scorer(
    model: PyFuncModel, path: Path, *, twin: str = "", name: str = "", version: str = "",
    as_stage: bool = False, example: Callable[[], str] | None = None,
    log: PredictionLog | None = None,
) -> LoadedVersion:  # fmt: skip
    """Create the scorer of a loaded version, and check that it answers its input example.

    Args:
        model: The loaded MLflow model.
        path: The folder of the version's artifacts.
        twin: The digest of the accelerated twin that may answer; ANY, or empty for no twin.
        name: The name by which the model is served.
        version: The number of the version.
        as_stage: Whether it answers with tables for the next version, which no protocol writes.
        example: The function that returns a request body, for versions without an input example.
        log: The prediction log; None for none.

    Raises:
        LoadRefused: The version cannot score the example.
    """
    for chatty in ("mlflow.pyfunc.scoring_server", "mlflow.models.utils"):
        logging.getLogger(chatty).setLevel(logging.ERROR)  # they warn for each request
    decoder = compile_decoder(model.metadata, log.sent if log is not None else ())
    accelerated = _twin(path, decoder, twin) if decoder and twin else None
    if log is not None:
        log.capture_inputs(model)
    scorer = HostScorer(model, decoder, accelerated, name=name, version=version, log=log)
    request_body = _serving_example(path)
    if request_body is None and example is not None:
        request_body = example()
    if request_body is not None:
        _warm_up(scorer, Item(JSON, request_body.encode(), as_table=as_stage))
    else:
        scorer.drop_inexact_predictors(None)
    return LoadedVersion(scorer, _describe(path, model.metadata, accelerated=scorer.accelerated))


def load_twin_first(
    path: Path, *, twin: str, name: str, version: str, as_stage: bool,
    log: PredictionLog | None = None,
) -> tuple[TwinFirstScorer, dict[str, Any]] | None:  # fmt: skip
    """Create a scorer that answers by the twin while the version is loaded in a thread.

    Returns:
        The scorer, and its description for the front. None if no twin may answer, or if it was
        proven with another onnxruntime than the installed one and must wait for the model.

    Raises:
        LoadRefused: The twin, or the model in its place, cannot score the input example.
    """
    metadata = Model.load(str(path))
    decoder = compile_decoder(metadata, log.sent if log is not None else ())
    accelerated = _twin(path, decoder, twin) if decoder and twin else None
    if decoder is None or accelerated is None or not accelerated.proven_here:
        return None
    if log is not None:
        log.describe(metadata)
    scorer = TwinFirstScorer(
        metadata, decoder, accelerated, name=name, version=version, log=log,
        load=lambda: load(
            path, twin=twin, name=name, version=version, as_stage=as_stage, log=log
        ),
    )  # fmt: skip
    if (example := _serving_example(path)) is not None:
        item = Item(JSON, example.encode(), as_table=as_stage)
        _score_example(scorer, item, _WARM_UP_SIZES)
    return scorer, _describe(path, metadata, accelerated=True)


def _twin(path: Path, decoder: ColumnDecoder, digest: str) -> Twin | None:
    try:
        return Twin.load(path, decoder.names, digest)
    except TwinUnusable as refusal:
        _logger.warning("The model answers without its twin. %s", refusal)
        return None


def _warm_up(scorer: HostScorer, example: Item) -> None:
    scorer.drop_inexact_predictors(example)
    _score_example(scorer, example, _WARM_UP_SIZES if scorer.can_join else (1,))
    scorer.store_example(example._replace(id="input example"))


def _score_example(
    scorer: HostScorer | TwinFirstScorer, example: Item, sizes: Sequence[int]
) -> None:
    for size in sizes:
        for answer in scorer.score([example] * size).answers:
            if answer.body_type == TABLE_BODY:
                continue
            document = _parse_answer(answer.body)
            if answer.status != 200:
                raised = scorer.failure if isinstance(scorer, HostScorer) else ""
                why = f" It raised {raised}" if raised else ""
                raise LoadRefused(f"{_UNSCORED}: {document.get('message', '')}{why}")


def _parse_answer(body: bytes) -> dict[str, Any]:
    try:
        parsed: dict[str, Any] = _parse(body.decode())
    except ValueError:
        raise LoadRefused(
            f"{_UNSCORED}: the answer is no JSON; the model's code has changed how it is written."
        ) from None
    return parsed


def _serving_example(path: Path) -> str | None:
    """Read the input example as a request body, as MLflow stores it beside the model."""
    file = path / "serving_input_example.json"
    return file.read_text() if file.is_file() else None


def _describe(path: Path, metadata: Model, *, accelerated: bool) -> dict[str, Any]:
    signature = metadata.signature
    return {
        "mlflow_version": mlflow.__version__,
        "flavors": sorted(metadata.flavors),
        "signature": signature.to_dict() if signature is not None else None,
        "type_hints": has_type_hints(metadata),
        "example": _serving_example(path),
        "predictor": "onnx" if accelerated else "pyfunc",
        "usual": usual_values(load_profile(path)),
        "imports": [name for name in _SLOW_IMPORTS if name in sys.modules],
    }
