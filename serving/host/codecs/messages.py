"""The messages of the Open Inference Protocol over gRPC.

Made from `open_inference.binpb`, which protoc made from `open_inference.proto`: unlike generated
code, that works with whichever release of protobuf a model's environment has. They live in a pool
of their own, so a model that uses some client's copy of the same messages is not disturbed.
"""

from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_FILE = Path(__file__).with_name("open_inference.binpb")
SERVICE = "inference.GRPCInferenceService"

_pool = descriptor_pool.DescriptorPool()
for _file in descriptor_pb2.FileDescriptorSet.FromString(_FILE.read_bytes()).file:
    _pool.Add(_file)


def message(name: str) -> Any:
    """The class of a message, by its name in the protocol."""
    found = _pool.FindMessageTypeByName(f"inference.{name}")
    return message_factory.GetMessageClass(found)
