"""What the page asks for: the state of the server, what a form is made of, and its files."""

from typing import Any
from urllib.parse import quote

import pytest
import requests

from tests.online import Server, wait_for
from tests.page.conftest import KEY
from tests.page.names import COMMENTS, EVIDENCE, FLIGHTS, HTML, INHERITED, ODD

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("page")]

ROW = {"carrier": "UA", "destination": "IAH", ODD: 3, "cancelled": True,
       "at": "2013-01-01T05:15", "temperature": None, **dict.fromkeys(INHERITED, "usual"),
       "remark": "fine"}  # fmt: skip
FORM = f"/models/{quote(FLIGHTS, safe='')}/form"


def state(server: Server, model: str) -> dict[str, Any]:
    answer: dict[str, Any] = server.get("/status.json", params={"model": model}).json()
    return answer


def test_the_state_names_all_models_and_tells_the_one_that_is_named_or_alone_at_length(
    server: Server, guarded: Server
) -> None:
    assert state(server, "another")["model"] is None
    headers = {"Authorization": f"Bearer {KEY}"}
    assert guarded.get("/status.json", headers=headers).json()["model"]["name"] == COMMENTS
    found = state(server, COMMENTS)
    assert found["models"] == [
        {"name": FLIGHTS, "ready": True, "version": found["models"][0]["version"]},
        {"name": COMMENTS, "ready": True, "version": "1"},
    ]
    told = found["model"]
    assert (told["name"], told["version"], told["alias"]) == (COMMENTS, "1", "production")
    assert (told["replicas"], told["waiting"], told["in_progress"]) == (1, 0, 0)
    assert told["stages"] == []


def test_the_counters_are_those_of_the_metrics(server: Server) -> None:
    path = f"/models/{quote(FLIGHTS, safe='')}/invocations"
    for row in (ROW, {**ROW, ODD: "far"}):
        requests.post(server.url + path, json={"dataframe_records": [row]}, timeout=30)
    counted = state(server, FLIGHTS)["model"]["counted"]
    for one in counted["requests"]:
        labels = {"model": FLIGHTS, "version": one["version"], "code": str(one["code"])}
        assert one["count"] == server.metric("cloche_requests_total", **labels) > 0
    answered = sum(sum(one["counts"]) for one in counted["durations"]["request"])
    assert answered == sum(one["count"] for one in counted["requests"])
    assert {one["code"] for one in counted["requests"]} == {200, 400}


def test_the_history_comes_with_tags_and_evidence(server: Server) -> None:
    def versions() -> dict[str, Any] | None:
        told = state(server, FLIGHTS)["model"]["history"]
        return told and {one["version"]: one for one in told}

    found = wait_for(versions)

    assert list(found) == ["2", "1"]
    first = found["1"]
    assert (first["gate"], first["promoted_by"], first["reason"]) == (
        "passed", HTML, "the 1. of them",
    )  # fmt: skip
    assert first["evidence"]["rows"] == EVIDENCE["holdout"]["rows"]
    assert first["evidence"]["score"] == EVIDENCE["scores"]["roc_auc"]
    assert [one["result"] for one in first["evidence"]["verdicts"]] == ["passed"]


def test_a_form_is_made_of_the_signature_an_example_and_usual_values(server: Server) -> None:
    form = server.get(FORM).json()
    assert [one["name"] for one in form["inputs"]] == list(ROW)
    assert [(one["name"], one["default"]) for one in form["params"]] == [("factor", 1.0)]
    assert form["example"]["dataframe_split"]["data"][0][0] == "UA"
    assert form["usual"]["carrier"] == {
        "role": "categorical", "values": ["UA", "B6", HTML], "complete": True,
    }  # fmt: skip
    assert form["usual"][ODD] == {"role": "numeric", "low": 80.0, "high": 2500.0}


@pytest.mark.parametrize("path", ["/status.json", f"/models/{COMMENTS}/form", "/docs"])
def test_data_needs_the_key(guarded: Server, path: str) -> None:
    assert guarded.get(path).status_code == 401
    headers = {"Authorization": f"Bearer {KEY}"}
    assert guarded.get(path, headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/", "/page/page.css", "/page/main.js", "/page/cloche.svg"])
def test_the_files_of_the_page_need_no_key(guarded: Server, path: str) -> None:
    answer = guarded.get(path)
    assert answer.status_code == 200
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    again = guarded.get(path, headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    headers = {"Authorization": f"Bearer {KEY}"}
    assert guarded.get("/page/__init__.py", headers=headers).status_code == 404
