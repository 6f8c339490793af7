"""What Cloche uses of other packages that they promise nobody: each name, and how it is called.

pyproject.toml binds these packages from above to the releases that were tested. A release that
changes one of the names fails here, and says which modules of ours must be looked at.
"""

import ast
import asyncio
import importlib
import inspect
from functools import reduce
from pathlib import Path

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from tests.contracts.test_environment import RUNTIME_EXTRAS, locked, wanted

ROOT = Path(__file__).parents[2]
HTTP = "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol"
BOOSTING = "sklearn.ensemble._gb:BaseGradientBoosting"
HISTOGRAM = "sklearn.ensemble._hist_gradient_boosting.gradient_boosting:BaseHistGradientBoosting"

# `module:name`, and the parameters of what is called; None for what is only there.
NAMES: dict[str, list[str] | None] = {
    f"{HTTP}._start_asgi_task": ["self", "cycle", "app"],
    f"{HTTP}.connection_made": ["self", "transport"],
    f"{HTTP}.connection_lost": ["self", "exc"],
    f"{HTTP}.data_received": ["self", "data"],
    f"{HTTP}.pause_writing": ["self"],
    f"{HTTP}.resume_writing": ["self"],
    f"{HTTP}.send_400_response": ["self", "msg"],
    f"{HTTP}.on_message_begin": ["self"],
    f"{HTTP}.on_headers_complete": ["self"],
    f"{HTTP}.on_body": ["self", "body"],
    f"{HTTP}.on_message_complete": ["self"],
    f"{HTTP}.on_response_complete": ["self"],
    f"{HTTP}.shutdown": ["self"],
    "uvicorn.protocols.http.httptools_impl:STATUS_LINE": None,
    "uvicorn.protocols.http.httptools_impl:RequestResponseCycle": None,
    "uvicorn.server:Server.capture_signals": ["self"],
    "uvicorn._types:ASGI3Application": None,
    "mlflow.models.utils:_enforce_schema": ["pf_input", "input_schema", "flavor"],
    "mlflow.models.utils:_enforce_params_schema": ["params", "schema"],
    "mlflow.models:Model._is_signature_from_type_hint": ["self"],
    "mlflow.models:Model._is_type_hint_from_example": ["self"],
    "mlflow.pyfunc:PyFuncModel._predict_fn": None,
    "mlflow.pyfunc.context:Context": None,
    "mlflow.pyfunc.context:set_prediction_context": ["context"],
    "mlflow.pyfunc.scoring_server:invocations": ["data", "content_type", "model", "input_schema"],
    "mlflow.utils.proto_json_utils:_get_jsonable_obj": ["data", "pandas_orient"],
    "mlflow.utils.rest_utils:call_endpoint": [
        "host_creds", "endpoint", "method", "json_body", "response_proto", "extra_headers",
        "retry_timeout_seconds", "expected_status",
    ],
    "mlflow.utils.requirements_utils:_check_requirement_satisfied": ["requirement_str"],
    "mlflow.utils.proto_json_utils:NumpyEncoder": None,
    "mlflow.utils.proto_json_utils:dataframe_from_parsed_json": [
        "decoded_input", "pandas_orient", "schema"
    ],
    "mlflow.data.pandas_dataset:PandasDataset._to_mlflow_entity": ["self"],
    "mlflow.store.db.utils:_get_schema_version": ["engine"],
    "mlflow.store.db.utils:_get_latest_schema_revision": [],
    "mlflow.tracking:MlflowClient._registry_uri": None,
    "pandas._libs.parsers:STR_NA_VALUES": None,
    "sklearn.base:BaseEstimator._validate_params": ["self"],
    f"{BOOSTING}._raw_predict_init": ["self", "X"],
    f"{HISTOGRAM}._predictors": None,
    f"{HISTOGRAM}._baseline_prediction": None,
    "sklearn.feature_extraction.text:TfidfVectorizer._tfidf": None,
}  # fmt: skip
# Of packages that come only with the extras of those who use them, where the ranges say enough, and
# of Python itself, whose versions CI goes through.
ELSEWHERE = {"_jsc", "_shutdown", "_run_exitfuncs"}


def holder(name: str) -> tuple[object, str]:
    module, _, path = name.partition(":")
    *outer, last = path.split(".")
    return reduce(getattr, outer, importlib.import_module(module)), last


@pytest.mark.parametrize("name", NAMES)
def test_a_private_name_is_there_and_is_called_as_we_call_it(name: str) -> None:
    inside, last = holder(name)
    parameters = NAMES[name]
    if parameters is not None:
        assert list(inspect.signature(getattr(inside, last)).parameters) == parameters
    elif not hasattr(inside, last):  # of instances: somewhere its class must set it
        assert isinstance(inside, type)
        assert f"self.{last} = " in inspect.getsource(inside)


def test_a_connection_of_uvicorn_has_what_ours_reads_of_it() -> None:
    async def connection() -> HttpToolsProtocol:
        config = uvicorn.Config(lambda: None, lifespan="off", ws="none")
        return HttpToolsProtocol(config, ServerState(), {}, asyncio.get_running_loop())

    found = asyncio.run(connection())
    read = (ROOT / "serving/http/connection.py").read_text()
    for name in (
        "connections", "cycle", "expect_100_continue", "flow", "headers", "limit_concurrency",
        "loop", "parser", "pipeline", "server_state", "transport",
    ):  # fmt: skip
        assert f"self.{name}" in read
        assert hasattr(found, name)
    assert isinstance(found.server_state.default_headers, list)
    assert found.server_state.total_requests == 0


def test_every_private_name_that_our_code_uses_is_in_the_table() -> None:
    files = [path for room in ("training", "serving", "cloche") for path in _modules(ROOT / room)]
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in files]
    own = {name for tree in trees for node in ast.walk(tree) for name in _defined(node)}
    used = {name for tree in trees for node in ast.walk(tree) for name in _used(node, own)}
    known = {name.rpartition(":")[2].rpartition(".")[2] for name in NAMES}
    assert used - known - ELSEWHERE == set()


def _modules(room: Path) -> list[Path]:
    return [path for path in room.rglob("*.py") if not path.is_symlink()]


def _private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _defined(node: ast.AST) -> list[str]:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return [node.name]
        case ast.Attribute(ctx=ast.Store()):
            return [node.attr]
        case ast.Name(ctx=ast.Store()):
            return [node.id]
    return []


def _used(node: ast.AST, own: set[str]) -> list[str]:
    """Private names of others: imported, read of an object, or called of a base class."""
    match node:
        case ast.ImportFrom(module=str(module)) if not module.startswith("cloche"):
            private = any(map(_private, module.split(".")))
            return [name.name for name in node.names if private or _private(name.name)]
        case ast.Attribute(value=ast.Call(func=ast.Name(id="super"))) if _private(node.attr):
            return [node.attr]
        case ast.Attribute() if _private(node.attr) and node.attr not in own | {"_exit"}:
            return [node.attr]
    return []


@pytest.mark.parametrize("package", sorted({name.partition(".")[0] for name in NAMES}))
def test_a_package_with_private_names_is_bound_to_the_releases_that_were_tested(package):
    distribution = {"sklearn": "scikit-learn"}.get(package, package)
    ranges = {one.name: one.specifier for one in wanted(RUNTIME_EXTRAS)}
    major, minor, *_ = locked("requirements.lock", "3.11")[distribution].split(".")
    assert f"{major}.{int(minor) + 1}.0" not in ranges[distribution]
