"""The list of protocols, in the order of the OpenAPI document."""

from cloche.serving.protocols.mlflow import FORM, MLFLOW
from cloche.serving.protocols.open_inference import OPEN_INFERENCE, OPEN_INFERENCE_GRPC
from cloche.serving.protocols.tf_serving import TF_SERVING
from cloche.serving.protocols.torchserve import TORCHSERVE

PROTOCOLS = (MLFLOW, OPEN_INFERENCE, OPEN_INFERENCE_GRPC, TF_SERVING, FORM, TORCHSERVE)
