"""What is advised about variables, folders, ports and the registry's address is done, and helps."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import mlflow
import pandas as pd
import pytest
from click.testing import CliRunner

from cloche import main
from cloche.processes.child_variables import for_models, with_fix
from cloche.registry import env_manager
from cloche.serving.errors import ServingError
from cloche.serving.registry.resolver import Resolver
from cloche.serving.registry.uri import parse
from cloche.up.command import _what_to_try, up
from cloche.up.errors import ServiceError
from cloche.up.samples import TryRows, rows_to_try
from cloche.up.services import free_ports
from tests import broken_servers
from tests.advice import words_of
from tests.shelf import empty_store
from tests.shell import program
from tests.stores import stores


def test_a_module_of_the_working_directory_is_found_by_the_variable_that_is_named(tmp_path):
    (tmp_path / "features.py").touch()

    def load(**variables: str) -> subprocess.CompletedProcess[str]:
        given = for_models({**os.environ, **variables})
        return subprocess.run([sys.executable, "-Pc", "import features"], env=given, check=False,
                              cwd=tmp_path, capture_output=True, text=True)  # fmt: skip

    failed = load()
    (variable,) = words_of(r"or name the folder in (\w+)\)", with_fix(failed.stderr, {},
                                                                  folder=tmp_path))  # fmt: skip
    assert load(**{variable: str(tmp_path)}).returncode == 0


def test_a_module_of_the_working_directory_is_logged_with_the_model(tmp_path, monkeypatch):
    module = tmp_path / "its_features.py"
    module.write_text("predict = print\ndef _load_pyfunc(_):\n    return __import__(__name__)\n")
    said = with_fix(f"No module named '{module.stem}'", {}, folder=tmp_path)
    option, path = re.search(r"log the model with (\w+)=\['(.*)'\]", said).groups()
    given = {option: [str(tmp_path / path)]}
    mlflow.pyfunc.save_model(tmp_path / "m", loader_module=module.stem, **given)
    module.unlink()
    monkeypatch.setattr(sys, "path", sys.path.copy())
    assert mlflow.pyfunc.load_model(str(tmp_path / "m"))


def test_a_variable_that_a_model_lacks_is_given_by_the_option_that_is_named():
    here = {**os.environ, "A_TOKEN": "t"}

    def load(*extra: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", "import os; os.environ['A_TOKEN']"],
                              env=for_models(here, extra), check=False, capture_output=True,
                              text=True)  # fmt: skip

    failed = load()
    (name,) = words_of(r"--host-env (\w+)\)$", with_fix(failed.stderr.strip(), here))
    assert load(name).returncode == 0


def test_without_an_environment_manager_an_old_version_runs_here(tmp_path):
    (tmp_path / "python_env.yaml").write_text("python: 3.9.1\n")
    with pytest.raises(env_manager.NotBuilt, match=r"Python 3\.9") as refusal:
        env_manager.interpreter(tmp_path, "uv", tmp_path / "cache", print)
    assert "or leave --env-manager out" in str(refusal.value)
    default = env_manager.LOCAL
    assert env_manager.interpreter(tmp_path, default, tmp_path / "cache", print) == ""


@pytest.fixture
def brought_up(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What `cloche up` begins with once its ports are free; it begins nothing."""
    begun: list[str] = []

    def stop(recipe: object, _: object) -> None:
        begun.append(recipe.name)  # type: ignore[attr-defined]
        raise ServiceError("enough")

    monkeypatch.setattr("cloche.up.production.ensure_candidate", stop)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    return begun


@pytest.mark.parametrize("option", ["--port", "--ui-port"])
def test_another_port_lets_everything_come_up(option, brought_up):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = {"--port": "0", "--ui-port": "0", option: str(taken.getsockname()[1])}
        said = CliRunner().invoke(up, [word for pair in ports.items() for word in pair]).exception
        (named,) = words_of(r"something else does\. Choose another (--\S+)\.$", str(said))
        assert (named, brought_up) == (option, [])
        ports[named] = "0"
        CliRunner().invoke(up, ["diabetes", *(word for pair in ports.items() for word in pair)])
    assert brought_up == ["diabetes-progression"]


def test_any_free_port_is_one_that_is_asked_and_no_port_is_given_twice(monkeypatch):
    asked = []
    monkeypatch.setattr("cloche.up.production.ensure_candidate", lambda *_: None)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("cloche.up.command.Service", lambda *given: asked.append(given) or Mock())
    monkeypatch.setattr("cloche.up.production.ensure_production", Mock(side_effect=ServiceError))
    CliRunner().invoke(up, ["diabetes", "--port", "0", "--ui-port", "0"])
    ((_, command, url, *_),) = asked
    assert url == f"http://127.0.0.1:{command[command.index('--port') + 1]}/health"
    assert ":0/" not in url
    (port,) = free_ports("127.0.0.1", {"--port": 0})
    with pytest.raises(ServiceError, match=r"Choose another --ui-port\.$"):
        free_ports("127.0.0.1", {"--port": port, "--ui-port": port})


def test_an_address_of_this_machine_lets_everything_come_up(brought_up):
    ports = ["--port", "0", "--ui-port", "0"]
    said = str(CliRunner().invoke(up, [*ports, "--host", "203.0.113.1"]).exception)
    option, address = words_of(r"Choose another (--host: \S+) for", said)
    CliRunner().invoke(up, ["diabetes", *ports, option.strip(":"), address])
    assert brought_up == ["diabetes-progression"]


def test_another_registry_is_named_where_one_does_not_answer(tmp_path, monkeypatch):
    with broken_servers.away() as url, stores(url):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        failed = CliRunner().invoke(main.cloche, ["status"]).exception
    (variable,) = words_of(r"or name another in (\w+)\.$", main._message(failed))
    (tmp_path / "mlflow.db").write_bytes(Path(empty_store()).read_bytes())
    with stores(uri := f"sqlite:///{tmp_path}/mlflow.db"):
        monkeypatch.setenv(variable, uri)
        assert "holds no models yet" in CliRunner().invoke(main.cloche, ["status"]).output


@pytest.fixture
def filled(tmp_path) -> str:
    """A registry with version 1 of `m` in production, which has no input example."""
    (tmp_path / "mlflow.db").write_bytes(Path(empty_store()).read_bytes())
    with stores(uri := f"sqlite:///{tmp_path}/mlflow.db"):
        log_version(tmp_path)
        mlflow.MlflowClient().set_registered_model_alias("m", "production", "1")
    return uri


def log_version(folder: Path, **options: Any) -> None:
    (folder / "model.py").write_text(
        "import mlflow\nclass Same(mlflow.pyfunc.PythonModel):\n"
        "    def predict(self, context, model_input, params=None):\n        return model_input\n"
        "mlflow.models.set_model(Same())\n"
    )
    mlflow.pyfunc.log_model(name="m", python_model=str(folder / "model.py"), pip_requirements=[],
                            registered_model_name="m", **options)  # fmt: skip


def test_the_registry_that_has_a_version_is_named_as_it_is_advised(filled, tmp_path, monkeypatch):
    (tmp_path / "empty.db").write_bytes(Path(empty_store()).read_bytes())
    with stores(f"sqlite:///{tmp_path}/empty.db"), pytest.raises(ServingError) as refusal:
        Resolver(mlflow.MlflowClient).resolve(parse("models:/m@production"))
    (variable,) = words_of(r"Or name the registry that has it in (\w+)\.$", str(refusal.value))
    with stores():
        monkeypatch.setenv(variable, filled)
        found = Resolver(mlflow.MlflowClient).resolve(parse("models:/m@production"))
    assert found.version == "1"


@pytest.mark.filterwarnings("ignore")
def test_a_version_to_try_is_logged_with_the_example_that_is_advised(filled, tmp_path):
    with stores(filled):
        with pytest.raises(ServiceError) as refusal:
            rows_to_try("m", "1", 2)
        (argument,) = words_of(r"log_model\(\.\.\., (\w+)=\.\.\.\)$", str(refusal.value))
        log_version(tmp_path, **{argument: pd.DataFrame({"a": [1]})})
        assert rows_to_try("m", "2", 2).request == {"dataframe_records": [{"a": 1}]}


def test_the_row_to_try_is_sent_by_the_command_that_is_told():
    program("curl", "curl")
    bodies = []

    def take(handler: Any, body: bytes) -> None:
        bodies.append((handler.path, handler.headers["content-type"], json.loads(body)))
        handler.reply(200, b"{}")

    request = {"dataframe_records": [{"comment": 'it\'s 100 %, "really" 좋다'}]}
    with broken_servers.answering(take) as url:
        said = _what_to_try("comments", "1", "http://ui", url, TryRows(pd.DataFrame(), request))
        (command,) = re.findall(r"^  (curl .*)$", said, flags=re.MULTILINE)
        subprocess.run(command, shell=True, check=True, capture_output=True)  # noqa: S602
    assert bodies == [("/invocations", "application/json", request)]
