"""The names of the log's files, and what is read from them."""

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from cloche.prediction_log import layout

_names = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=20)


@given(_names, _names)
def test_a_path_tells_model_day_and_version_whatever_their_names(model: str, version: str) -> None:
    """Names with slashes, equal signs, hyphens and spaces are quoted, and read back."""
    day = date(2026, 11, 30)
    path = layout.segment_file(model, day, version, "0192ab")
    assert path.count("/") == 2
    assert layout.model_of(path) == model
    assert layout.day_of(path) == day
    assert layout.version_of(path) == version
    assert not layout.is_compacted(path)
    assert layout.is_compacted(layout.compacted_file(model, day, version, "0192ab"))


def test_a_file_of_labels_tells_its_model_and_the_day_on_which_it_arrived() -> None:
    """Labels lie by arrival, below a folder of their own."""
    path = layout.labels_file("flight delay", date(2026, 1, 2), "abc")
    assert path == "labels/model=flight%20delay/arrived=2026-01-02/abc.parquet"
    assert layout.model_of(path) == "flight delay"
    assert layout.day_of(path) == date(2026, 1, 2)
