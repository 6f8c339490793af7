"""Which codec answers at which door."""

from collections.abc import Mapping
from functools import partial
from types import ModuleType

from mlflow.models import Model

from cloche.serving.host.codecs import v2_grpc, v2_rest
from cloche.serving.host.codecs.codec import Codec
from cloche.serving.host.codecs.scoring_protocol import ScoringProtocol
from cloche.serving.host.codecs.torchserve import TorchServe
from cloche.serving.host.codecs.v1 import V1
from cloche.serving.host.codecs.v2 import Inference
from cloche.serving.host.diagnosis.diagnosis import Diagnosis
from cloche.serving.host.frames import Door
from cloche.serving.host.missing import Guard
from cloche.serving.host.plan import Plan, has_type_hints


def codecs(metadata: Model, plan: Plan | None, *, name: str, version: str) -> Mapping[Door, Codec]:
    """The codecs of a version of a model.

    Args:
        metadata: Its MLflow metadata.
        plan: For its signature, if that can be planned.
        name: By which it is served.
        version: Its version.
    """
    schema = metadata.get_input_schema()
    hinted = has_type_hints(metadata)
    guard = Guard(schema, by_type_hints=hinted)
    diagnosis = Diagnosis(metadata)

    def inference(form: ModuleType) -> Inference:
        write = partial(form.write, name, version)
        return Inference(
            metadata, plan, diagnosis, split=form.split, parse=form.parse, write=write,
            refused=form.refused,
        )  # fmt: skip

    return {
        Door.MLFLOW: ScoringProtocol(plan, schema, guard, diagnosis),
        Door.V2: inference(v2_rest),
        Door.GRPC: inference(v2_grpc),
        Door.V1: V1(plan, schema, guard, diagnosis, hinted=hinted),
        Door.TORCHSERVE: TorchServe(plan, schema, guard, diagnosis),
    }
