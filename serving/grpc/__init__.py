"""The door for gRPC: the Open Inference Protocol on grpcio's server."""
