"""The messages are those of the specification, and the compiled file is that of the source."""

from pathlib import Path

from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_tools import protoc

from cloche.serving.host.codecs.open_inference import messages
from tests.triton.client import Triton

HERE = Path(messages.__file__).parent
NAMES = [
    "ServerLiveResponse", "ServerReadyResponse", "ModelReadyRequest", "ModelReadyResponse",
    "ServerMetadataResponse", "ModelMetadataRequest", "ModelMetadataResponse", "InferParameter",
    "InferTensorContents", "ModelInferRequest", "ModelInferResponse",
]  # fmt: skip


def fields(message: Descriptor) -> dict[str, object]:
    """Every field with its number and type, also of the messages inside."""
    found: dict[str, object] = {
        field.name: (field.number, field.type, field.is_repeated) for field in message.fields
    }
    return found | {nested.name: fields(nested) for nested in message.nested_types}


def test_messages_have_the_fields_that_tritons_client_knows(triton: Triton) -> None:
    theirs = DescriptorPool()
    for file in triton.descriptions():
        theirs.AddSerializedFile(file)
    for name in NAMES:
        known = theirs.FindMessageTypeByName(f"inference.{name}")
        assert fields(messages.message(name).DESCRIPTOR) == fields(known), name


def test_the_compiled_file_is_that_of_the_source(tmp_path: Path) -> None:
    made = tmp_path / "made.binpb"
    protoc.main(["", f"-I{HERE}", f"--descriptor_set_out={made}", "open_inference.proto"])
    ours, theirs = (
        FileDescriptorSet.FromString(path.read_bytes())
        for path in (HERE / "open_inference.binpb", made)
    )
    assert ours == theirs
