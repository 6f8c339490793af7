"""The protobuf messages of the Open Inference Protocol over gRPC.

The classes are created from the descriptors in `open_inference.binpb`, which protoc compiled from
`open_inference.proto`: unlike generated code, these work with every release of protobuf that a
model's environment may have. They are in a descriptor pool of their own, so that they do not
conflict with a client's copy of the same messages in the model's code.
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
    """Return the class of a message by its name in the protocol."""
    found = _pool.FindMessageTypeByName(f"inference.{name}")
    return message_factory.GetMessageClass(found)
