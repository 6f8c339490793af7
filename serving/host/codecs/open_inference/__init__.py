"""The codec of the Open Inference Protocol, over HTTP and gRPC: tensors and messages."""
