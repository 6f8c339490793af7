"""The digest of a table is that of its content."""

import subprocess
import sys

import pandas as pd
import pytest

from cloche.training.dataset.reading.digest import frame_digest

FRAME = pd.DataFrame({"a": [1.5, None], "b": ["x", "y"], "c": pd.to_datetime(["2020", "2021"])})


def test_the_digest_is_the_same_in_every_process():
    code = (
        "import pandas as pd; from cloche.training.dataset.reading.digest import frame_digest; "
        "print(frame_digest(pd.DataFrame({'a': [1.5, None], 'b': ['x', 'y'], "
        "'c': pd.to_datetime(['2020', '2021'])})))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == frame_digest(FRAME)


@pytest.mark.parametrize(
    "other",
    [
        FRAME.rename(columns={"a": "z"}), FRAME.astype({"a": "float32"}), FRAME[["b", "a", "c"]],
        FRAME.iloc[::-1], FRAME.head(1), FRAME.assign(b=["x", "z"]), FRAME.assign(a=[1.5, 0.0]),
    ],
)  # fmt: skip
def test_any_change_of_the_content_changes_it(other):
    assert frame_digest(other) != frame_digest(FRAME)


def test_the_index_does_not_count():
    assert frame_digest(FRAME.set_index(pd.Index([7, 8]))) == frame_digest(FRAME)
