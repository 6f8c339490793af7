"""Where CSV records end, and which text Arrow and pandas divide alike."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.serving.batch.input import record_boundaries
from cloche.serving.batch.input.csv_options import Dialect
from cloche.serving.batch.input.record_boundaries import Records, whole_records

FORM = Dialect(",")


@pytest.mark.parametrize(
    ("block", "found"),
    [
        (b'a,b\nc', Records(4, plain=True)),
        (b'"a","b\nc"\nd', Records(10, plain=True)),
        (b'"a","b\nc', Records(0, plain=True)),
        (b'5",x\na,"b\n', Records(5, plain=False)),
        (b'"a" ,b\n', Records(7, plain=False)),
        (b'\xef\xbb\xbfa,b\n', Records(7, plain=False)),
        (b'a,\xff\n', Records(4, plain=False)),
        (b'a,b\r\na,b\rc', Records(5, plain=True)),
        (b'a,b\rc\n', Records(6, plain=False)),
    ],
)  # fmt: skip
def test_records_end_outside_of_quotes(block: bytes, found: Records) -> None:
    assert whole_records(block, FORM) == found


@given(st.text('"a,\n\r', max_size=20), st.integers(1, 5), st.booleans())
def test_pieces_of_a_block_make_no_difference(text: str, piece: int, last: bool) -> None:
    block = bytearray(text.encode())
    whole = whole_records(block, FORM, last=last)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record_boundaries, "_PIECE", piece)
        assert whole_records(block, FORM, last=last) == whole
