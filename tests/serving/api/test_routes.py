import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.serving.api.routes import FORM, METADATA, PREDICT, Route, find


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/invocations", Route(PREDICT, "/invocations", None)),
        ("/models/m/invocations", Route(PREDICT, "/models/{name}/invocations", "m")),
        ("/models/m/form", Route(FORM, "/models/{name}/form", "m")),
        ("/v2/models/m", Route(METADATA, "/v2/models/{name}", "m")),
        (
            "/v2/models/m/versions/7/infer",
            Route(PREDICT, "/v2/models/{name}/versions/{version}/infer", "m", "7"),
        ),
        (
            "/v1/models/m:v2/labels/blue:predict",
            Route(PREDICT, "/v1/models/{name}/labels/{label}:predict", "m:v2", None, "blue"),
        ),
        ("/predictions/m/7", Route(PREDICT, "/predictions/{name}/{version}", "m", "7")),
    ],
)
def test_a_path_says_what_is_asked_of_whom(path: str, route: Route) -> None:
    assert find(path) == route


@pytest.mark.parametrize(
    "path", ["/", "", "/models//invocations", "/v2/models/m/infer/", "/v1/models/m:classify/x", "x"]
)
def test_what_is_no_path_of_a_model_is_none(path: str) -> None:
    assert find(path) is None


@given(st.text("/:mv12 models:predict", max_size=40))
def test_any_path_is_read(path: str) -> None:
    found = find("/" + path)
    assert found is None or "{" in found.template or found.template == "/invocations"
