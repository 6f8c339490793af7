"""Rows as lines: how the pieces of a split file are read, and how answers are written."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.serving.cloud_contract import CloudRequest
from cloche.serving.clouds.json_lines import JSON_LINES, read
from cloche.serving.web.asgi import HttpError

NAMES = ["size", "kind"]
CELLS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()


def translated(content_type, body, names=NAMES, accept=""):
    return read(CloudRequest(content_type, accept), body, names)


def written(predictions, accept, content_type="application/json"):
    write = translated(content_type, b"{}", accept=accept).write
    return write(json.dumps({"predictions": predictions}).encode())[1].decode()


@given(st.lists(st.dictionaries(st.text(), CELLS), min_size=1))
def test_objects_are_records_whatever_is_in_them(rows):
    body = b"\n".join(json.dumps(row, ensure_ascii=False).encode() for row in rows)
    assert json.loads(translated(JSON_LINES, body).body) == {"dataframe_records": rows}


@pytest.mark.parametrize(
    ("names", "rows"),
    [
        (NAMES, {"dataframe_split": {"columns": NAMES, "data": [[1, "new"], [2, "old"]]}}),
        ([], {"instances": [[1, "new"], [2, "old"]]}),
    ],
)
def test_arrays_take_the_names_of_the_model_or_are_instances(names, rows):
    assert json.loads(translated(JSON_LINES, b'[1, "new"]\n[2, "old"]\n', names).body) == rows


def test_a_header_is_written_as_csv_writes_it_where_there_is_none():
    names = ["a,b", 'say "c"']
    sent = translated("text/csv; header=absent", b"1,2\n", names)
    assert sent.content_type == "text/csv"
    assert sent.body == b'"a,b","say ""c"""\n1,2\n'
    with pytest.raises(HttpError, match="needs a header"):
        translated("text/csv; header=absent", b"1,2\n", [])
    for content_type in ("text/csv", "text/csv; header=present"):
        for names in (NAMES, []):
            assert translated(content_type, b"kind,size\n", names).body == b"kind,size\n"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "no line"),
        (b"\n \n", "no line"),
        (b"{}\n{", "Line 2 is not JSON"),
        (b"{}\n3", "Line 2 is neither"),
        (b"{}\n[]", "all objects, or all arrays"),
        (b'{}, {"a": 1}', "Line 1 is not JSON"),
        (b"[" * 100_000, "Line 1 is not JSON"),
    ],
)
def test_what_are_no_rows_is_refused(body, reason):
    with pytest.raises(HttpError, match=reason) as told:
        translated(JSON_LINES, body)
    assert told.value.status == 400


@pytest.mark.parametrize(
    ("predictions", "lines", "csv"),
    [
        ([1, 2.5], "1\n2.5\n", "1\n2.5\n"),
        (["a", "b,c"], '"a"\n"b,c"\n', 'a\n"b,c"\n'),
        ([{"p": 1, "q": None}], '{"p": 1, "q": null}\n', "1,\n"),
        ([[1, True], [2, False]], "[1, true]\n[2, false]\n", "1,true\n2,false\n"),
        ({"p": [1, 2]}, '{"p": [1, 2]}\n', '"[1, 2]"\n'),
    ],
)
def test_answers_are_lines_where_they_are_asked_for(predictions, lines, csv):
    assert written(predictions, JSON_LINES) == lines
    assert written(predictions, "text/csv") == csv


@pytest.mark.parametrize(
    "accept", ["", "*/*", "application/json", "text/html", "application/json, text/csv"]
)
def test_other_answers_are_left_as_they_are(accept):
    assert translated("application/json", b"{}", accept=accept).write is None
    assert (translated(JSON_LINES, b"{}", accept=accept).write is None) == (
        accept == "application/json"
    )


@given(st.binary(), st.sampled_from([JSON_LINES, "text/csv; header=absent", "application/json"]))
def test_whatever_comes_is_translated_or_refused(body, content_type):
    with suppress(HttpError):
        assert isinstance(translated(content_type, body).body, bytes)


@given(st.text())
def test_any_text_can_be_answered(label):
    assert json.loads(written([label], JSON_LINES)) == label
    assert written([label], "text/csv")
    assert written(["\ud800"], "text/csv") == "\\ud800\n", "half a character"
