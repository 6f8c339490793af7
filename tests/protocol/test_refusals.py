"""The bodies of the differential test at the doors that it does not ask: what refusals say."""

import json
from pathlib import Path
from typing import Any

import pytest

from cloche.serving.host.load import load
from cloche.serving.processes.frames import Door, Item
from tests.protocol.bodies import JSON, bodies_for
from tests.protocol.kinds import KINDS
from tests.protocol.refusals import MOST_GENERAL, is_general

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def told(kind: str, door: Door, zoo: Path) -> list[str]:
    """What the bodies that are refused are told."""
    scorer = load(zoo / kind).scorer
    items = [
        Item(content_type, body, "", door)
        for content_type, body in bodies_for(kind)
        if door is Door.TORCHSERVE or content_type == JSON
    ]
    answers = [answer for item in items for answer in scorer.score([item]).answers]
    said: list[dict[str, Any]] = [json.loads(one.body) for one in answers if one.status == 400]
    return [one.get("message", "") or one["error"] for one in said]


@pytest.mark.parametrize("door", [Door.V1, Door.TORCHSERVE])
@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=[] if kind == "nested" else pytest.mark.breadth) for kind in KINDS],
)
def test_a_refusal_says_what_is_wrong(kind: str, door: Door, zoo: Path) -> None:
    messages = told(kind, door, zoo)
    general = [message for message in messages if is_general(message)]
    assert len(general) <= MOST_GENERAL * len(messages)
    assert not any("secret" in message for message in messages)
