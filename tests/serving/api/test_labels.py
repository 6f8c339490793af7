"""Labels of a request: all mistakes at once, one segment, the same file however often sealed."""

import json
from pathlib import Path

import pytest

from cloche.prediction_log.destination import Destination
from cloche.prediction_log.reading import Selection, label_files
from cloche.serving.api.labels import LabelSpool, read_labels
from cloche.serving.sealing.sealer import Sealer
from cloche.serving.spool.log_plan import LogPlan
from cloche.serving.web.asgi import HttpError

MODEL = "flight delay"


def body(*labels: object) -> bytes:
    return json.dumps({"labels": labels}).encode()


def spool(folder: Path, **options: int) -> LabelSpool:
    return LabelSpool(LogPlan(folder=str(folder / "spool"), server="5e", **options))


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(HttpError) as raised:
        read_labels(
            body(
                {"prediction_id": "a", "label": 1},
                {"prediction_id": "", "request_id": "r", "label": [1], "when": 1},
                {"request_id": "r", "row": -1, "label": 1, "time": "soon"},
                {"request_id": "r", "retract": True, "label": 1},
                "a",
            )
        )
    assert raised.value.status == 400
    assert str(raised.value) == (
        "Nothing was taken: labels[1]: 'when' is not known; there are prediction_id, request_id, "
        "row, label, time, retract; labels[1]: needs either prediction_id or request_id; "
        "labels[1].prediction_id: is no text of 1 to 1024 characters; "
        "labels[1].label: is no text, number, true or false; "
        "labels[2].row: is no whole number from 0; "
        "labels[2].time: is no time in ISO 8601, like 2026-01-31T14:05:00Z; "
        "labels[3].label: is given and taken back at once; labels[4]: is no object."
    )


def test_two_labels_of_one_prediction_are_a_mistake_and_one_twice_is_one() -> None:
    one = {"prediction_id": "a", "label": 1}
    assert len(read_labels(body(one, {**one, "label": 1.0}))) == 1
    with pytest.raises(HttpError, match="prediction_id 'a' has another label in this request"):
        read_labels(body(one, {**one, "label": 0}))


@pytest.mark.parametrize("text", [b"{", b"[]", b'{"labels": []}', b'{"labels": [1], "x": 1}'])
def test_a_body_of_another_form_is_refused(text: bytes) -> None:
    with pytest.raises(HttpError) as raised:
        read_labels(text)
    assert raised.value.status == 400


def test_more_than_a_request_may_have_are_refused_with_what_to_do() -> None:
    many = [{"prediction_id": f"{n}", "label": 1} for n in range(1001)]
    with pytest.raises(HttpError, match="or add a file: cloche labels add") as raised:
        read_labels(body(*many))
    assert raised.value.status == 413


def test_a_segment_of_labels_is_sealed_to_the_same_file_however_often(tmp_path: Path) -> None:
    labels = spool(tmp_path)
    labels.accept(MODEL, body({"prediction_id": "a", "label": 1, "time": "2026-03-02T12:00:00Z"}))
    labels.accept(MODEL, body({"prediction_id": "a", "label": 0}))
    labels.close()
    (segment,) = (tmp_path / "spool").glob("*.segment")
    kept = segment.read_bytes()
    destination = Destination.of(str(tmp_path / "log"))
    contents = []
    for _ in range(2):
        segment.write_bytes(kept)
        assert Sealer(tmp_path / "spool", destination.uri).seal() == 1
        (path,) = label_files(destination, Selection(MODEL))
        contents.append(destination.read(path))
    assert contents[0] == contents[1]


def test_a_full_spool_takes_no_label_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(
        HttpError, match=r"were not taken \(spool full\); send them again"
    ) as raised:
        spool(tmp_path, spool_bytes=1).accept(MODEL, body({"prediction_id": "a", "label": 1}))
    assert raised.value.status == 503
