"""What targets, options and inputs are read as."""

import json
import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from scipy.sparse import csr_matrix

from cloche.serving.deployments import command
from cloche.serving.deployments.payload import encode
from cloche.serving.deployments.server import ServerProcess
from cloche.serving.deployments.target import DeploymentOptions, followed, server_url
from tests.broken_servers import answering


@pytest.mark.parametrize(
    ("target", "url"),
    [
        ("cloche", "http://127.0.0.1:8080"),
        ("cloche:/http://host:81", "http://host:81"),
        ("cloche:/https://host/", "https://host"),
        ("cloche://host:81", "http://host:81"),
        ("cloche:host:81", "http://host:81"),
    ],
)
def test_a_target_names_a_server(target: str, url: str) -> None:
    assert server_url(target) == url


def test_options_come_as_text_from_the_command_and_as_values_from_python() -> None:
    text = DeploymentOptions.read(
        {"force": "true", "reason": "why", "wait": "5", "allow-breaking": "no"}
    )
    assert text == DeploymentOptions(force=True, reason="why", wait=5.0)
    assert DeploymentOptions.read({"force": True, "reason": "why", "wait": 5}) == text


def test_a_number_that_is_no_time_is_named() -> None:  # test_advice.py has the other mistakes
    with pytest.raises(MlflowException, match="'nan' is no number of seconds") as error:
        DeploymentOptions.read({"wait": "nan"})
    assert error.value.error_code == "INVALID_PARAMETER_VALUE"


STATE = {
    "follows": "production",
    "models": {
        "named": {"uri": "models:/named@staging"},
        "fixed": {"uri": "models:/fixed/3"},
        "renamed": {"uri": "models:/another@production"},
    },
}


@pytest.mark.parametrize(
    ("name", "alias"),
    [("named", "staging"), ("fixed", None), ("renamed", None), ("new", "production")],
)
def test_the_server_says_which_alias_it_follows(name: str, alias: str | None) -> None:
    assert followed(STATE, name) == alias


@pytest.mark.parametrize(
    ("inputs", "body"),
    [
        (
            pd.DataFrame({"a": [1.5, None], "b": ["x", None]}, index=[7, 8]),
            {"dataframe_split": {"columns": ["a", "b"], "data": [[1.5, "x"], [None, None]]}},
        ),
        (np.array([[1, 2]]), {"inputs": [[1, 2]]}),
        (csr_matrix([[0, 2]]), {"inputs": [[0, 2]]}),
        ({"x": np.array([1.5]), "y": [2]}, {"inputs": {"x": [1.5], "y": [2]}}),
        ({"instances": [[1]], "params": {"k": 1}}, {"instances": [[1]], "params": {"k": 1}}),
        ('{"inputs": [1]}', {"inputs": [1]}),
    ],
    ids=["table", "array", "sparse", "named arrays", "body", "text"],
)
def test_inputs_of_every_form_become_a_body(inputs: object, body: object) -> None:
    assert json.loads(encode(inputs)) == body


def test_an_answer_of_a_stranger_is_told_without_its_body() -> None:
    def answer(handler: Any, _: bytes) -> None:  # as a proxy that answers for a server
        handler.reply(502, b"<html>row 42 of Kim</html>")

    with answering(answer) as url:
        server = ServerProcess(url)
        with pytest.raises(MlflowException, match=r"answered 502, .* -t cloche:/http") as refusal:
            server.predict("m", b"{}")
    assert "Kim" not in str(refusal.value)


@pytest.mark.parametrize(
    ("said", "typed"),
    [
        ("give the criteria with --policy FILE", ["Here --policy FILE is -C policy=FILE."]),
        ("the gate refused m version 2", ["Overrule it with -C force=true -C reason=TEXT"]),
        ("the gate refused m\n  - breaks clients; --allow-breaking if they know of it",
         ["Here --allow-breaking is -C allow-breaking=true.", "Overrule it"]),
        ("no registered model", []),
    ],
)  # fmt: skip
def test_what_the_command_advises_is_told_as_it_is_typed_here(monkeypatch, said, typed) -> None:
    ended = SimpleNamespace(returncode=1, stderr=f"Error: {said}\n")
    monkeypatch.setattr(command.subprocess, "run", lambda *_, **__: ended)
    with pytest.raises(MlflowException) as refusal:
        command.promote("m", "2", DeploymentOptions())
    assert all(hint in str(refusal.value) for hint in typed)
    named = re.findall(r"-C ([a-z-]+)=", str(refusal.value))
    assert DeploymentOptions.read(dict.fromkeys(named, "true"))
    assert bool(named) == bool(typed)
