"""The door for gRPC: HTTP/2 for unary calls, and the Open Inference Protocol over it."""
