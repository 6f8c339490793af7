"""The same bytes to the application of `mlflow models serve` and to `cloche serve`, over the wire.

The same status, the same predictions. DIFFERENCES lists everything that may differ.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.flavors.catalog import FRAMEWORKS, Save, needs
from tests.online import wait_for
from tests.protocol.contenders import Contenders, contenders, mlflow_server, post
from tests.protocol.differences import DIFFERENCES, MOST_GENERAL, is_general
from tests.protocol.kinds import FIRST, KINDS, REST

pytestmark = pytest.mark.slow

# Not all hosts at a time fit into the memory of a small machine. A framework is a wave of its own.
WAVES = {"first": FIRST, "rest": REST} | {
    name: list(framework.models) for name, framework in FRAMEWORKS.items()
}
MARKS = {"rest": [pytest.mark.breadth]}


@pytest.fixture(scope="module")
def both(
    request: pytest.FixtureRequest, save: Save, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Contenders]:
    """The two servers with the kinds of one wave."""
    wave, directory = request.param, tmp_path_factory.mktemp("cloche")
    models = save(wave) if wave in FRAMEWORKS else request.getfixturevalue("zoo")
    with contenders(models, WAVES[wave], directory) as running:
        yield running


FIELDS = {"error_code", "message", "columns", "row", "expected"}

each_kind = pytest.mark.parametrize(
    ("both", "kind"),
    [
        pytest.param(
            wave,
            kind,
            id=kind,
            marks=[pytest.mark.xdist_group(f"protocol-{wave}"), *needs(wave), *MARKS.get(wave, ())],
        )
        for wave, kinds in WAVES.items()
        for kind in kinds
    ],
    indirect=["both"],
    scope="module",
)


def in_common(body: bytes, answer: bytes) -> bytes:
    """An answer but for missing texts: they stay missing, and MLflow makes "None" of them."""
    if b"null" not in body:
        return answer
    texts = re.sub(rb"(?:str|object):'", b"text:'", answer)
    return re.sub(rb"text:'None'|(?:str|object):(?:None|nan)", b"missing", texts)


def is_json(response: requests.Response) -> bool:
    return response.headers["content-type"].startswith("application/json")


def test_the_zoo_holds_exactly_the_kinds_that_are_compared(zoo: Path) -> None:
    assert sorted(path.name for path in zoo.iterdir()) == KINDS


@each_kind
def test_status_and_predictions_are_those_of_mlflow_and_no_host_is_lost(
    both: Contenders, kind: str
) -> None:
    wrong = []
    for replies in both.replies(kind):
        (_, body), theirs, ours = replies
        allowed = {(one.mlflow, one.cloche) for one in DIFFERENCES if one.only in body}
        both_ended = theirs.status_code, ours.status_code
        same = both_ended[0] == both_ended[1] and (
            ours.status_code != 200
            or (
                in_common(body, theirs.content) == in_common(body, ours.content)
                and theirs.headers["content-type"] == ours.headers["content-type"]
            )
        )
        if not same and both_ended not in allowed:
            wrong.append(replies)
    assert not wrong
    assert both.cloche.metric("cloche_lost_hosts_total", model=kind) == 0


@each_kind
def test_an_error_keeps_its_code_says_what_is_wrong_and_shows_no_payload_and_no_trace(
    both: Contenders, kind: str
) -> None:
    refused = [ours for _, _, ours in both.replies(kind) if ours.status_code == 400]
    general = [ours.text for ours in refused if is_general(ours.json()["message"])]
    assert len(general) <= MOST_GENERAL * len(refused), general
    for (_, body), theirs, ours in both.replies(kind):
        if ours.status_code == 200:
            continue
        assert "secret" not in ours.text
        assert "Traceback" not in ours.text
        if not is_json(ours):
            assert ours.status_code == 415
            continue
        assert {"error_code", "message"} <= ours.json().keys() <= FIELDS
        if theirs.status_code == ours.status_code and is_json(theirs) and b"null" not in body:
            assert ours.json()["error_code"] == theirs.json()["error_code"]


@pytest.mark.xdist_group("protocol-first")
@pytest.mark.parametrize("both", ["first"], indirect=True, scope="module")
@pytest.mark.parametrize("path", ["/ping", "/health", "/version"])
def test_the_same_pages(both: Contenders, path: str) -> None:
    theirs = requests.get(both.mlflow[FIRST[0]] + path, timeout=30)
    ours = both.cloche.get(path)
    assert (ours.status_code, ours.text) == (theirs.status_code, theirs.text)


@pytest.mark.breadth
@pytest.mark.xdist_group("protocol-rest")
@pytest.mark.parametrize("both", ["rest"], indirect=True, scope="module")
def test_mlflows_command_answers_as_the_application_that_it_runs(
    both: Contenders, zoo: Path
) -> None:
    with mlflow_server(zoo / "scalars") as command:
        wait_for(command.is_ready)
        for body, theirs, _ in both.replies("scalars"):
            answer = post(f"{command.url}/invocations", body)
            assert (answer.status_code, _told(answer)) == (theirs.status_code, _told(theirs))


def _told(answer: requests.Response) -> Any:
    """The predictions, or the code of an error: its words name a set, in any order, and a stack."""
    if answer.status_code == 200 or not is_json(answer):
        return answer.content
    return answer.json()["error_code"]
