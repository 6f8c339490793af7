"""gRPC's standard health protocol (grpc.health.v1), which Kubernetes and load balancers use."""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SERVICE = "grpc.health.v1.Health"
_SERVING, _NOT_SERVING = 1, 2
_Field = descriptor_pb2.FieldDescriptorProto

# health.proto, in a descriptor pool of its own: another installed package may define it as well
_file = descriptor_pb2.FileDescriptorProto(
    name="health.proto", package="grpc.health.v1", syntax="proto3"
)
_asked = _file.message_type.add(name="HealthCheckRequest")
_asked.field.add(name="service", number=1, type=_Field.TYPE_STRING, label=_Field.LABEL_OPTIONAL)
_told = _file.message_type.add(name="HealthCheckResponse")
_told.field.add(name="status", number=1, type=_Field.TYPE_INT32, label=_Field.LABEL_OPTIONAL)
_pool = descriptor_pool.DescriptorPool()
_pool.Add(_file)
_Request, _Response = (
    message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"grpc.health.v1.{name}"))
    for name in ("HealthCheckRequest", "HealthCheckResponse")
)


def service(body: bytes) -> str:
    """The service whose health a request asks for; empty for the whole server.

    Raises:
        DecodeError: The body is no HealthCheckRequest.
    """
    name: str = _Request.FromString(body).service
    return name


def health_response(*, serving: bool) -> bytes:
    """A serialized HealthCheckResponse."""
    answer: bytes = _Response(status=_SERVING if serving else _NOT_SERVING).SerializeToString()
    return answer
