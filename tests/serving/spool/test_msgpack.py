"""MessagePack without msgspec, which the environment of a version may lack."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.serving.spool.msgpack import PlainExt, encode_plainly

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary()
    | st.floats(allow_nan=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)  # fmt: skip


@given(VALUES)
def test_msgspec_reads_what_is_written_without_it(value):
    assert msgspec.msgpack.decode(encode_plainly(value)) == value


def test_an_array_of_numbers_is_an_extension():
    assert msgspec.msgpack.decode(encode_plainly(PlainExt(1, b"<f8\0abc"))) == (
        msgspec.msgpack.Ext(1, b"<f8\0abc")
    )


def test_a_value_without_a_form_is_refused():
    with pytest.raises(TypeError, match="no object"):
        encode_plainly([object()])
