"""The test behind "drifted" is scipy's, without the half second that its import takes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency

from serving.batch.drift import distance

counts = st.lists(st.tuples(st.integers(1, 500), st.integers(1, 500)), min_size=2, max_size=9)


@given(counts)
def test_the_p_value_is_that_of_scipy(pairs):
    before, after = zip(*pairs, strict=True)

    found = distance(before, after)

    assert found.p_value == pytest.approx(chi2_contingency(np.array([before, after])).pvalue)
