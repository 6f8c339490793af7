import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.serving.api.routes import Route, find, protocol_of
from cloche.serving.protocols.mlflow import FORM, MLFLOW, form
from cloche.serving.protocols.open_inference import OPEN_INFERENCE, model_metadata
from cloche.serving.protocols.protocol import Protocol
from cloche.serving.protocols.tf_serving import TF_SERVING
from cloche.serving.protocols.torchserve import TORCHSERVE


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/invocations", Route(MLFLOW, None, "/invocations", None)),
        ("/invocations/", Route(MLFLOW, None, "/invocations", None)),
        ("/models/m/invocations", Route(MLFLOW, None, "/models/{name}/invocations", "m")),
        ("/models/m/form", Route(FORM, form, "/models/{name}/form", "m")),
        ("/v2/models/m", Route(OPEN_INFERENCE, model_metadata, "/v2/models/{name}", "m")),
        (
            "/v2/models/m/versions/7/infer",
            Route(OPEN_INFERENCE, None, "/v2/models/{name}/versions/{version}/infer", "m", "7"),
        ),
        (
            "/v1/models/m:v2/labels/blue:predict",
            Route(
                TF_SERVING, None, "/v1/models/{name}/labels/{label}:predict", "m:v2", None, "blue"
            ),
        ),
        ("/predictions/m/7", Route(TORCHSERVE, None, "/predictions/{name}/{version}", "m", "7")),
    ],
)
def test_a_path_says_what_is_asked_of_whom(path: str, route: Route) -> None:
    assert find(path) == route


@pytest.mark.parametrize(
    "path", ["/", "", "/models//invocations", "/v2/models/m/infer/", "/v1/models/m:classify/x", "x"]
)
def test_what_is_no_path_of_a_model_is_none(path: str) -> None:
    assert find(path) is None


@pytest.mark.parametrize(
    ("path", "protocol"),
    [
        ("/", MLFLOW), ("/nothing", MLFLOW), ("/v2", OPEN_INFERENCE),
        ("/v1/nothing", TF_SERVING), ("/predictions", TORCHSERVE),
    ],
)  # fmt: skip
def test_a_path_that_is_not_there_belongs_to_a_protocol(path: str, protocol: Protocol) -> None:
    assert protocol_of(path) is protocol


@given(st.text("/:mv12 models:predict", max_size=40))
def test_any_path_is_read(path: str) -> None:
    found = find("/" + path)
    assert found is None or "{" in found.template or found.template == "/invocations"
