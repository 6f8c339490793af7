import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.serving.host.parsing import json_body
from cloche.serving.host.parsing.json_body import read_json

NUMBERS = st.one_of(
    st.floats().map(repr),
    st.integers().map(str),
    st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
)
DOCUMENTS = st.recursive(
    NUMBERS | st.text().map(json.dumps) | st.sampled_from(["true", "false", "null", "nan", "01"]),
    lambda inner: (
        st.lists(inner).map(lambda members: f"[{','.join(members)}]")
        | st.lists(st.tuples(st.sampled_from(['"a"', '"b"', '""', "a"]), inner)).map(
            lambda members: "{" + ", ".join(f"{name}: {value}" for name, value in members) + "}"
        )
    ),
    max_leaves=8,
)


def told(read: Any, body: bytes) -> str:
    """What a reader gives, to the type and the last bit; or that it refuses."""
    try:
        return repr(read(body))
    except (ValueError, RecursionError):
        return "refused"


def by_python(body: bytes) -> Any:
    return json.loads(body.decode())


def test_msgspec_reads_here() -> None:
    assert json_body._read_fast is not None  # it is a dependency; only foreign environments lack it


@given(DOCUMENTS)
def test_a_document_says_what_python_reads_in_it(document: str) -> None:
    body = document.encode("utf-8", "surrogatepass")
    assert told(read_json, body) == told(by_python, body)


@given(st.binary(max_size=40))
def test_bytes_that_are_no_document_are_refused_by_both(body: bytes) -> None:
    assert told(read_json, body) == told(by_python, body)


@pytest.mark.parametrize(
    "body",
    [
        b"NaN", b"[-Infinity]", b"1e999", b"18446744073709551616", b"-0", b"-0.0", b'"\\ud800"',
        b'"\xed\xa0\x80"', b"\xef\xbb\xbf1", b'{"a": 1, "a": 2}', b"1" * 5000, b"1" * 400 + b".0",
        "[1]".encode("utf-16"), b"[" * 100_000, b"[1] 2", b"",
    ],
)  # fmt: skip
def test_what_the_readers_are_known_to_differ_in_is_read_as_python_does(body: bytes) -> None:
    assert told(read_json, body) == told(by_python, body)
