"""The mapping of protocols to codecs."""

from collections.abc import Mapping
from functools import partial
from types import ModuleType

from mlflow.models import Model

from cloche.serving.host.codecs.codec import Codec
from cloche.serving.host.codecs.mlflow import MlflowCodec
from cloche.serving.host.codecs.open_inference import grpc, rest
from cloche.serving.host.codecs.open_inference.codec import OpenInferenceCodec
from cloche.serving.host.codecs.tf_serving import TfServingCodec
from cloche.serving.host.codecs.torchserve import TorchServeCodec
from cloche.serving.host.diagnosis.diagnosis import Diagnosis
from cloche.serving.host.parsing.column_decoder import ColumnDecoder, has_type_hints
from cloche.serving.host.parsing.missing_values import MissingValueGuard


def codecs(
    metadata: Model, decoder: ColumnDecoder | None, *, name: str, version: str
) -> Mapping[str, Codec]:
    """Create the codecs for a version of a model, by the name of the protocol."""
    schema = metadata.get_input_schema()
    hinted = has_type_hints(metadata)
    guard = MissingValueGuard(schema, by_type_hints=hinted)
    diagnosis = Diagnosis(metadata)

    def inference(transport: ModuleType) -> OpenInferenceCodec:
        write = partial(transport.write, name, version)
        return OpenInferenceCodec(
            metadata, decoder, diagnosis, split=transport.split, parse=transport.parse, write=write,
            values=transport.values, error_answer=transport.error_answer,
        )  # fmt: skip

    return {
        "mlflow": MlflowCodec(decoder, schema, guard, diagnosis),
        "open_inference": inference(rest),
        "open_inference_grpc": inference(grpc),
        "tf_serving": TfServingCodec(decoder, schema, guard, diagnosis, hinted=hinted),
        "torchserve": TorchServeCodec(decoder, schema, guard, diagnosis),
    }
