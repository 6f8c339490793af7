import json

import pytest

from cloche.serving.queue.row_estimate import rows


@pytest.mark.parametrize("count", [1, 2, 50])
@pytest.mark.parametrize("layout", ["split", "records"])
def test_rows_of_json_are_told_from_its_brackets(layout: str, count: int) -> None:
    content = (
        {"dataframe_split": {"columns": ["alpha", "beta"], "data": [[1.5, "abc"]] * count}}
        if layout == "split"
        else {"dataframe_records": [{"alpha": 1.5, "beta": "abc"}] * count}
    )
    assert rows("application/json", json.dumps(content).encode()) == count


def test_rows_of_csv_are_its_lines_without_the_header() -> None:
    assert rows("text/csv", b"a,b\n1,2\n3,4\n") == 2
