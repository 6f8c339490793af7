"""The program that tests drive Triton's client with, in the environment that has it.

`tests.triton.client` starts it and sends calls of the functions below. What goes in and comes out
is plain (numbers, texts, bytes, arrays), for neither side has the other's libraries.
"""

import asyncio
import json
import os
import pickle
import sys
import traceback

import numpy as np
import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.http
import tritonclient.http.aio
from tritonclient.grpc import model_config_pb2, service_pb2
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

LIBRARIES = {"http": tritonclient.http, "grpc": tritonclient.grpc}
ASYNCHRONOUS = {"http": tritonclient.http.aio, "grpc": tritonclient.grpc.aio}


def call(way, address, method, *arguments, **options):
    """What a method of the blocking client returns that needs no objects of the client."""
    with LIBRARIES[way].InferenceServerClient(address) as client:
        return getattr(client, method)(*arguments, **options)


def infer(way, address, model, columns, *, wanted=None, binary=None, **options):
    """The prediction of the blocking client.

    Args:
        way: `http` or `grpc`.
        address: of the server.
        model: by its name.
        columns: arrays by name.
        wanted: outputs to ask for, with the options that each is asked for with.
        binary: whether the inputs go as bytes, where the client leaves the choice.
        options: of the client's method.
    """
    library = LIBRARIES[way]
    packing = {} if binary is None else {"binary_data": binary}
    if wanted is not None:
        options["outputs"] = [
            library.InferRequestedOutput(name, **asked) for name, asked in wanted.items()
        ]
    with library.InferenceServerClient(address) as client:
        return plain(client.infer(model, inputs(library, columns, **packing), **options))


def infer_together(way, address, model, requests, headers):
    """The predictions of the asynchronous client, of several requests at once."""
    return asyncio.run(_infer_together(ASYNCHRONOUS[way], address, model, requests, headers))


async def _infer_together(library, address, model, requests, headers):
    async with library.InferenceServerClient(address) as client:
        asked = [
            client.infer(model, inputs(library, columns), headers=dict(headers))
            for columns in requests
        ]
        return [plain(result) for result in await asyncio.gather(*asked)]


def http_body(columns, *, binary):
    """The body of an inference over HTTP, and the size of its JSON where bytes follow it."""
    asked = inputs(LIBRARIES["http"], columns, binary_data=binary)
    body, size = tritonclient.http.InferenceServerClient.generate_request_body(asked)
    if not binary:  # the client asks for bytes unless it names the outputs
        body = json.dumps({"inputs": json.loads(body)["inputs"]}).encode()
    return body, size or 0


def read_http(body, size):
    """The outputs of an answer over HTTP whose JSON has that size, 0 if it is all JSON."""
    parse = tritonclient.http.InferenceServerClient.parse_response_body
    return plain(parse(body, header_length=size or None))["outputs"]


def grpc_message(model, columns):
    """The message of an inference over gRPC."""
    request = service_pb2.ModelInferRequest(model_name=model)
    for one in inputs(LIBRARIES["grpc"], columns):
        request.inputs.append(one._get_tensor())
        request.raw_input_contents.append(one._get_content())
    return request.SerializeToString()


def read_grpc(body):
    """The outputs of an answer over gRPC."""
    message = service_pb2.ModelInferResponse.FromString(body)
    return plain(tritonclient.grpc.InferResult(message))["outputs"]


def descriptions():
    """The files of the protocol as the client has them, those that others need first."""
    return [module.DESCRIPTOR.serialized_pb for module in (model_config_pb2, service_pb2)]


def inputs(library, columns, **options):
    """Arrays as the inputs of a client's library."""
    found = []
    for name, array in columns.items():
        found.append(library.InferInput(name, array.shape, np_to_triton_dtype(array.dtype)))
        found[-1].set_data_from_numpy(array, **options)
    return found


def plain(result):
    """A result of the client: its id, arrays by output, and which of them came as JSON."""
    response = result.get_response()
    if isinstance(response, dict):
        tensors = {tensor["name"]: "data" in tensor for tensor in response["outputs"]}
        request_id = response.get("id", "")
    else:
        tensors = {tensor.name: False for tensor in response.outputs}
        request_id = response.id
    return {
        "id": request_id,
        "outputs": {name: np.asarray(result.as_numpy(name)) for name in tensors},
        "json": [name for name, is_json in tensors.items() if is_json],
    }


def main():
    """Answer calls until the input ends; what libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while True:
        try:
            function, arguments, options = pickle.load(sys.stdin.buffer)  # noqa: S301 (our tests)
        except EOFError:
            return
        try:
            answer = ("returned", globals()[function](*arguments, **options))
        except InferenceServerException as error:
            answer = ("refused", (str(error), error.message(), error.status()))
        except Exception:  # noqa: BLE001 (the test that asked fails of it)
            answer = ("failed", traceback.format_exc())
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    main()
