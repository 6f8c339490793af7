"""The shipped recipe of the flights, on all of them: what it trains passes its own gate."""

import json

import pytest

from tests.shell import Shell

pytestmark = [pytest.mark.slow, pytest.mark.breadth]


def test_a_model_of_all_flights_passes_the_gate_of_its_recipe(shell: Shell):
    shell("cloche train flights --set search.trials=1")

    judged = json.loads(shell("cloche promote flight-delay --dry-run --json").stdout)

    assert judged["outcome"] == "passed"
    assert judged["evidence"]["holdout"]["rows"] == 55_628
