"""Evidence and limits are those of a published implementation, or as tight."""

import json
import math
import subprocess

import pytest

from cloche.rollout.sample_ratio import log_e_mismatch
from cloche.rollout.two_rates import Rate, log_e_above, log_e_below
from tests import apart

RATES = [Rate(500, 0), Rate(2000, 3), Rate(10_000, 10), Rate(10_000, 500)]
SCRIPT = f"""
import json, numpy, ville
test = ville.BernoulliTest(0.05, prior=(5, 95)).fit(numpy.arange(3000) < 190)
limits = [
    ville.BernoulliCS(alpha=0.02, intersect=False).fit(numpy.arange(requests) < bad).interval()
    for requests, bad in {[(rate.requests, rate.bad) for rate in RATES]}
]
print(json.dumps([test.log_e_values_[-1], limits]))
"""


@pytest.mark.breadth
def test_evidence_is_that_of_ville_and_limits_are_as_tight():
    python = apart.programs("ville") / "python"
    found = subprocess.run([python, "-c", SCRIPT], check=True, capture_output=True, text=True)
    mismatch, limits = json.loads(found.stdout)
    assert log_e_mismatch([(5, 190, 2810)]) == pytest.approx(mismatch)
    for rate, (low, high) in zip(RATES, limits, strict=True):
        assert log_e_below(rate, 1.05 * high) >= math.log(100)
        if rate.bad > 3:  # of so few, a rate that is 50 times as great is not bet on
            assert log_e_above(rate, low / 1.05) >= math.log(100)
