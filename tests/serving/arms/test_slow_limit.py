"""An answer is slow if it takes longer than production did when the canary began."""

import pytest

from cloche.serving.arms.slow_limit import SlowLimit


@pytest.mark.parametrize(("quantile", "requests"), [(0.99, 1000), (0.9, 100), (0.99999, 10_000)])
def test_productions_first_requests_are_the_measure_of_both_arms(quantile, requests):
    limit = SlowLimit(quantile)
    for number in range(requests):
        assert limit.is_slow("canary", 1e9) is None
        assert limit.is_slow("production", (requests - number) / requests) is None
    assert [limit.is_slow("canary", one) for one in (quantile - 1e-9, quantile + 1e-3)] == [
        False, True
    ]  # fmt: skip
    assert limit.is_slow("production", 2.0)
