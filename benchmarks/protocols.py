"""`python -m benchmarks.protocols`: the same row asked in every protocol of one server, in turn."""

import argparse
import struct
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks import catalog, command, load, report
from benchmarks.errors import NotServing
from benchmarks.models.store import Trained, trained
from benchmarks.place import Question
from benchmarks.processes import free_port, serving
from benchmarks.results import Run, write
from benchmarks.row import Row
from cloche.serving.host.codecs.open_inference.messages import SERVICE, message

_FRAME = struct.Struct("!BI")  # the prefix of a gRPC message: compressed flag and length
_GRPC = {"content-type": "application/grpc", "te": "trailers"}


@dataclass(slots=True)
class Protocols:
    """All measurements of one call; the contenders of its runs are keys of `PROTOCOLS`."""

    model: str
    seconds: int
    rounds: int
    runs: list[Run] = field(default_factory=list)


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.protocols", description=__doc__)
    parser.add_argument("--model", choices=catalog.MODELS, default="twelve")
    parser.add_argument("--protocols", nargs="+", choices=PROTOCOLS, default=list(PROTOCOLS))
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 64])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    command.add_options(parser)
    chosen = parser.parse_args()
    load.require("wrk", "h2load")
    made = trained(chosen.model, chosen.cache / "models", chosen.comments)
    result = Protocols(chosen.model, chosen.seconds, chosen.rounds)
    port, grpc_port = free_port(), free_port()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        serve = [
            *(sys.executable, "-m", "cloche", "serve", made.uri),
            *("--port", str(port), "--grpc-port", str(grpc_port)),
        ]
        url, variables = f"http://127.0.0.1:{port}", {"MLFLOW_TRACKING_URI": made.registry}
        with serving(serve, variables, folder, f"{url}/readyz") as server:
            for _ in range(chosen.rounds):
                for connections in chosen.connections:
                    for protocol in chosen.protocols:
                        where = f"http://127.0.0.1:{grpc_port}" if protocol in _OVER_HTTP2 else url
                        one = _measure(
                            protocol, where, made,
                            connections=connections, seconds=chosen.seconds, scratch=folder,
                        )  # fmt: skip
                        print(f"{protocol:24}{connections:5}{one.rate:10,.0f} /s", flush=True)
                        result.runs.append(one)
            server.check()
    report.render(write(chosen.output, "protocols", result), chosen.output)


def _measure(
    protocol: str, url: str, made: Trained, *, connections: int, seconds: int, scratch: Path
) -> Run:
    """Run a client once with one protocol.

    Raises:
        NotServing: The server answered no request with a prediction.
    """
    question = PROTOCOLS[protocol](made.row, made.registered)
    if protocol in _OVER_HTTP2:
        clients, each = (connections, 1) if _OVER_HTTP2[protocol] else (1, connections)
        found = load.measure_http2(
            url, question, connections=clients, streams=each, seconds=seconds, scratch=scratch
        )
    else:
        found = load.measure(
            url, question, connections=connections, seconds=seconds, scratch=scratch
        )
    if not found.rate:
        raise NotServing(f"The protocol {protocol} gave no prediction.")
    return Run(
        made.registered, protocol, connections, found.rate, found.p50, found.p99, found.failed
    )


def invocations(row: Row, _: str) -> Question:
    """Build a request of MLflow's scoring protocol."""
    return Question("/invocations", row.split())


def v2_json(row: Row, model: str) -> Question:
    """Build a request of the Open Inference Protocol in JSON."""
    return Question(f"/v2/models/{model}/infer", row.open_inference())


def v2_binary(row: Row, model: str) -> Question:
    """Build a request of the Open Inference Protocol with binary inputs and outputs."""
    body, size = row.open_inference_binary()
    headers = {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(size),
    }
    return Question(f"/v2/models/{model}/infer", body, headers)


def v1(row: Row, model: str) -> Question:
    """Build a request of TensorFlow Serving's REST API."""
    return Question(f"/v1/models/{model}:predict", row.instances())


def grpc(row: Row, model: str) -> Question:
    """Build a gRPC request of the Open Inference Protocol: one frame with a ModelInferRequest."""
    request = message("ModelInferRequest")(model_name=model)
    for tensor in row.tensors():
        request.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=[1, 1])
        request.raw_input_contents.append(tensor.packed)
    body = request.SerializeToString()
    return Question(f"/{SERVICE}/ModelInfer", _FRAME.pack(0, len(body)) + body, _GRPC)


PROTOCOLS: Final = {
    "invocations": invocations,
    "v2 json": v2_json,
    "v2 binary": v2_binary,
    "v1": v1,
    "grpc": grpc,
    "grpc, one connection": grpc,
}
# Protocols over HTTP/2 → whether each client has its own connection, or all share one.
_OVER_HTTP2: Final[Mapping[str, bool]] = {"grpc": True, "grpc, one connection": False}


if __name__ == "__main__":
    command.run(main)
