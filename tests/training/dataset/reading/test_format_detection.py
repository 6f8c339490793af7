"""How an undescribed source is read."""

import pandas as pd
import pytest

from cloche.training.dataset.reading.format_detection import detect_data
from cloche.training.errors import DataError, RecipeError


@pytest.mark.parametrize(
    ("name", "text", "section"),
    [
        ("t.csv", "a,b\n1,2\n", {}),
        ("t.csv", "a;b\n1,5;2\n", {"options": {"sep": ";"}}),
        ("t.tsv", "a\tb\n1\t2\n", {"options": {"sep": "\t"}}),
        ("t.csv", "a|b|c\n1|2|3\n", {"options": {"sep": "|"}}),
        ("t.txt", "so good|1\nso bad|0\n", {"format": "labelled-lines"}),
        ("t.txt", "a|b|c\n1|2|3\n", {"options": {"sep": "|"}}),
        ("t.csv", "", {}),
    ],
)
def test_the_form_of_a_text_file_is_found(tmp_path, name, text, section):
    (tmp_path / name).write_text(text)
    found = detect_data(str(tmp_path / name)).model_dump(exclude_defaults=True)
    assert found == {"source": str(tmp_path / name), **section}


def test_other_sources_are_taken_as_they_are(tmp_path):
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "t.parquet")
    for source in (str(tmp_path / "t.parquet"), "sample:wine", "https://example.com/t.csv"):
        assert detect_data(source).model_dump(exclude_defaults=True) == {"source": source}
    assert detect_data("sqlite:///a.db", "SELECT 1").query == "SELECT 1"


def test_sources_that_are_none_are_refused(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        detect_data(str(tmp_path / "absent.csv"))
    with pytest.raises(RecipeError, match=r"data\.query: missing"):
        detect_data("sqlite:///a.db")
