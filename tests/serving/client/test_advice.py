"""What the client advises is done, and it answers."""

import json
import re

import httpx2
import pytest

from cloche.client import AnswerTooLarge, Client

ROWS = [{"a": 0.0}] * 100


def answer(request: httpx2.Request) -> httpx2.Response:
    """A prediction for each row, at any path."""
    rows = json.loads(request.content)["dataframe_records"]
    return httpx2.Response(200, json={"predictions": [1.5] * len(rows)})


def asked(rows: list[dict[str, float]], **options: object) -> int:
    with Client("http://x", transport=httpx2.MockTransport(answer), **options) as client:
        return len(client.predict(rows).values)


def test_an_answer_that_is_too_large_is_asked_for_in_parts_or_allowed():
    with pytest.raises(AnswerTooLarge, match="Ask about fewer rows at a time") as refusal:
        asked(ROWS, max_answer=200)
    assert asked(ROWS[:10], max_answer=200) == 10
    (option,) = re.findall(r"with a larger (\w+)\.$", str(refusal.value))
    assert asked(ROWS, **{option: 2000}) == 100


def test_a_version_is_asked_for_with_its_model():
    with pytest.raises(ValueError, match=r"A version needs its model: give both\.$"):
        asked(ROWS, version="1")
    assert asked(ROWS, model="m", version="1") == 100
