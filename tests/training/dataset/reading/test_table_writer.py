"""Tables written by the name of the file."""

import pandas as pd
import pytest

from cloche.training.dataset.reading.sources import load_table
from cloche.training.dataset.reading.table_writer import write_table
from cloche.training.errors import DataError
from cloche.training.recipe.sections import Data

FRAME = pd.DataFrame({"a": [1.5, 2.5], "b": ["x", "y"]})


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.parquet"])
def test_what_is_written_is_read_again(tmp_path, name):
    write_table(FRAME, tmp_path / name)
    pd.testing.assert_frame_equal(load_table(Data(source=str(tmp_path / name))).frame, FRAME)


def test_a_place_that_is_not_there_is_said(tmp_path):
    with pytest.raises(DataError, match="cannot be written"):
        write_table(FRAME, tmp_path / "absent" / "t.csv")
