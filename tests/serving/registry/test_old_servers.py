"""Registries of old tracking servers: their models are listed, or one sentence says why not."""

import json
import re
import shutil

import mlflow
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient

from cloche import main
from cloche.registry.version_listing import registered_models
from cloche.serving.errors import RegistryUnreachable
from cloche.serving.registry.resolver import Resolver
from cloche.serving.registry.uri import parse
from tests import apart, broken_servers
from tests.broken_servers import Old, answering
from tests.online import tracking_server
from tests.shelf import empty_store
from tests.stores import stores

MODELS = ("a", "b", "c")


@pytest.fixture(autouse=True)
def _few_attempts(monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.chdir(tmp_path)


def with_alias() -> dict[str, str]:
    return Resolver(MlflowClient).versions_with_alias("production")


def run(*arguments: str) -> str:
    """What a command says, or the message of its failure."""
    done = CliRunner().invoke(main.cloche, arguments)
    return done.stdout if done.exception is None else main._message(done.exception)


@pytest.mark.parametrize(
    "version",
    ["2.9.2", *(pytest.param(one, marks=pytest.mark.breadth) for one in ("2.12.2", "2.20.3"))],
)
def test_models_of_a_server_that_knows_no_prompts_are_listed_in_one_call(version):
    old = Old(version, models=MODELS)
    with answering(old) as url, stores(url):
        assert with_alias() == dict.fromkeys(MODELS, "1")
        assert old.asked == ["registered-models/search"]
        listed = json.loads(run("status", "--json"))["models"]
        doctor = run("doctor", "--port", "0")
    assert [(model["name"], model["aliases"]) for model in listed] == [
        (name, {"production": "1"}) for name in MODELS
    ]
    assert all(f"models:/{name}@production: is version 1" in doctor for name in MODELS), doctor


def test_a_registry_without_models_is_believed_when_it_can_answer():
    with answering(Old("2.12.2")) as url, stores(url):
        assert with_alias() == {}
        assert "holds no models yet" in run("status")


@pytest.mark.parametrize("models", [(), MODELS])
def test_a_server_without_aliases_says_what_it_lacks(models):
    with answering(Old("1.30.1", aliases=False, models=models)) as url, stores(url):
        with pytest.raises(RegistryUnreachable, match=r"has no \S+/registered-models/alias: it is"):
            with_alias()
        said = run("doctor", "--port", "0")
        assert "it is older than this client" in said
        assert "below a prefix (--static-prefix) that the address lacks" in said
        assert all(name in run("status") for name in models)
    version = re.search(r"Upgrade it \(pip install 'mlflow==(\S+)'\)", said)[1]
    with answering(Old(version, models=models)) as url, stores(url):
        assert with_alias() == dict.fromkeys(models, "1")


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (broken_servers.nothing, "it is no MLflow server"),
        (broken_servers.nothing_to_list(Old("2.0", models=MODELS)), "though it has a version 1"),
    ],
    ids=["nothing at all", "nothing in lists"],
)
def test_an_empty_list_is_not_believed(answer, says):
    with answering(answer) as url, stores(url):
        with pytest.raises(RegistryUnreachable, match=says):
            with_alias()
        for command in (["status"], ["doctor", "--port", "0"]):
            assert says in run(*command)


def test_models_that_no_list_has_are_served_as_they_are_advised_to_be_named():
    with answering(broken_servers.nothing_to_list(Old("2.0", models=MODELS))) as url, stores(url):
        with pytest.raises(RegistryUnreachable) as refusal:
            with_alias()
        named = re.search(r"Name the models, like (\S+),", str(refusal.value))[1]
        target = Resolver(MlflowClient).resolve(parse(named))
    assert (target.model, target.version) == ("a", "1")


def test_prompts_of_a_new_server_are_no_models(tmp_path):
    shutil.copy(empty_store(), tmp_path / "mlflow.db")
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db", f"sqlite:///{tmp_path}/mlflow.db")
    client.create_registered_model("m")
    client.register_prompt("greeting", "Hello {{name}}")
    assert [model.name for model in registered_models(client)] == ["m"]


def test_a_training_is_told_what_the_server_lacks_before_anything_is_read(tmp_path):
    with answering(Old("2.12.2")) as url, stores(url):
        words = run("train", "breast-cancer", "--data", "nowhere.csv")
    assert "has MLflow 2.12.2, and does not take models as MLflow 3 logs them" in words
    assert "<" not in words
    assert "nowhere.csv" not in words
    version = re.search(r"upgrade the server \(pip install 'mlflow==(\S+)'\)", words)[1]
    assert version == mlflow.__version__
    with stores(f"sqlite:///{shutil.copy(empty_store(), tmp_path)}"):  # what such a server has
        assert "nowhere.csv" in run("train", "breast-cancer", "--data", "nowhere.csv")


def test_a_proxy_that_says_404_is_no_registry_without_the_version():
    with (
        answering(broken_servers.no_such_page) as url,
        stores(url),
        pytest.raises(RegistryUnreachable, match="or no tracking server"),
    ):
        Resolver(MlflowClient).resolve(parse("models:/m@production"))


@pytest.mark.breadth
@pytest.mark.slow
def test_a_real_old_server_lists_its_models(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES")
    python = apart.programs("mlflow") / "python"
    with tracking_server(f"sqlite:///{tmp_path}/old.db", tmp_path, python=python) as url:
        client = MlflowClient(url, url)
        for name in MODELS:
            client.create_registered_model(name)
            client.create_model_version(name, f"s3://nowhere/{name}")
            client.set_registered_model_alias(name, "production", "1")
        assert client.search_registered_models() == []  # else this test is about nothing
        with stores(url):
            assert with_alias() == dict.fromkeys(MODELS, "1")
            assert all(name in run("status") for name in MODELS)
            words = run("train", "breast-cancer", "--data", "nowhere.csv")
    assert "has MLflow 2.20.3, and does not take models as MLflow 3 logs them" in words
