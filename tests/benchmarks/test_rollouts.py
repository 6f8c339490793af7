"""Simulated rollouts are rarely aborted for nothing, and the document has their tables."""

import math
import re

from benchmarks.rollouts import simulation
from benchmarks.rollouts.__main__ import DOCUMENT, TABLES, filled


def test_bursts_and_returning_callers_abort_no_more_than_promised():
    for traffic in (simulation.bursts, simulation.returning):
        assert simulation.false_aborts(traffic, math.inf, rollouts=200, failures=60) <= 2


def test_a_caller_that_counts_again_and_again_would_abort_good_versions():
    assert simulation.false_aborts(simulation.returning, 60.0, rollouts=100, failures=100) > 2


def test_a_version_that_is_worse_by_the_margin_is_rarely_taken_for_proven():
    assert simulation.false_advances(rollouts=20, rate=0.0, margin=0.01) <= 1


def test_the_document_has_every_table_and_says_what_the_policy_needs():
    text = DOCUMENT.read_text()
    assert set(re.findall(r"<!-- table: (\w+) -->\n\|", text)) == set(TABLES)
    assert filled(text, []) == text
    needed = simulation.requests_to_advance(50.0, 100.0, rate=0.0, margin=0.001)
    row = re.search(r"\| 50 to 100 % \| ([\d,]+) \|", text)
    assert row is not None
    assert abs(int(row[1].replace(",", "")) - needed) <= 0.05 * needed
