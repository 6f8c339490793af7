import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.serving.processes import frames
from cloche.serving.processes.frames import (
    Answer,
    Expected,
    FrameReader,
    Item,
    Kind,
    LogCounts,
    LogNote,
    ProtocolError,
    Result,
)

latin = st.text(st.characters(max_codepoint=255), max_size=30)
protocols = st.sampled_from(["mlflow", "open_inference_grpc"])
sizes = st.integers(0, 10**6)
plain = (latin, st.binary(), latin, protocols, sizes, st.binary())
expected = st.builds(Expected, st.binary(min_size=1), sizes, st.floats(0, 1))
tiny = st.integers(0, 255)
times = st.integers(0, 2**63)
notes = st.none() | st.builds(
    LogNote, times, st.binary(max_size=1024), tiny, tiny, times, before=st.just(0)
)
items = st.lists(
    st.builds(Item, *plain, st.booleans(), st.booleans(), st.none(), notes)
    | st.builds(Item, *plain, st.just(False), st.just(True), expected, notes)
)
answers = st.lists(
    st.builds(Answer, st.integers(100, 599), st.integers(0, 2), sizes, st.binary(), sizes)
)
moments = st.floats(0, 1e6)
counts = st.integers(0, 10**6)
logged = st.none() | st.builds(LogCounts, counts, counts, counts, counts)


@given(items, st.lists(st.integers(1, 20), min_size=1))
def test_a_batch_survives_any_cutting_of_the_stream(sent: list[Item], cuts: list[int]) -> None:
    stream, reader, received = frames.batch(sent) * 2, FrameReader(), []
    while stream:
        size = cuts[len(stream) % len(cuts)]
        received += list(reader.feed(stream[:size]))
        stream = stream[size:]
    assert [kind for kind, _ in received] == [Kind.BATCH] * 2
    assert all(frames.read_batch(payload) == sent for _, payload in received)


@given(st.builds(Result, moments, moments, counts, answers, logged), st.data())
def test_a_result_comes_back_as_it_was_sent_and_one_that_is_cut_short_is_noticed(
    result: Result, data: st.DataObject
) -> None:
    ((kind, payload),) = FrameReader().feed(frames.result(result))
    assert kind is Kind.RESULT
    assert frames.read_result(payload) == result
    cut = data.draw(st.integers(0, len(payload) - 1))
    if result.logged is not None and cut == len(payload) - 16:
        return  # the answers of a host that logs nothing
    with pytest.raises(ProtocolError):
        frames.read_result(payload[:cut])


def test_without_a_log_the_frames_are_as_before_there_was_one() -> None:
    item = Item("a/b", b"body", "id", "mlflow")
    assert frames.batch([item]) == (
        b"\x04\0\0\0\x20\0\0\0\x01\x06\0\x03\0\x02\0\0\0\x04\0\0\0\0mlflowa/bidbody"
    )
    assert frames.result(Result(0.0, 0.0, 0, []))[5:] == bytes(24)


def test_what_is_no_frame_is_noticed() -> None:
    with pytest.raises(ProtocolError):
        list(FrameReader().feed(b"HTTP/1.1 200 OK\r\n"))
