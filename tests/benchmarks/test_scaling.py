"""The simulations behind docs/scaling.md keep count, and the document says what they say."""

import itertools
from collections.abc import Callable

import pytest

from benchmarks.scaling import arithmetic, autoscaling, polling
from benchmarks.scaling.__main__ import DOCUMENT, filled
from benchmarks.scaling.measured import PLAIN, TWIN, Path
from benchmarks.scaling.tables import TABLES
from cloche.serving.dispatch.poll_policy import PollPace

CASES = [
    polling.Case(servers, pacing=pacing, seconds=120, outage=outage)
    for servers, pacing, outage in itertools.product(
        (1, 300), (polling.Fixed(), PollPace()), (None, polling.Outage(30, 60))
    )
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_look_has_one_end(case: polling.Case) -> None:
    found = polling.simulate(case)
    assert found.asked == found.answered + found.late + found.refused + found.waiting
    assert found.busy == pytest.approx((found.answered + found.late) * case.lookup)
    assert found.busy <= case.seconds


def test_the_same_seed_gives_the_same_numbers_and_another_one_others() -> None:
    case = polling.Case(300, seconds=60)
    assert polling.simulate(case, 1) == polling.simulate(case, 1) != polling.simulate(case, 2)


def test_more_servers_than_a_registry_can_answer_in_time_are_still_told() -> None:
    crowd = polling.Case(2000)
    kept = polling.simulate(crowd)
    assert kept.answered > 0.9 * kept.asked
    assert max(kept.gaps) < 60  # each of them
    fixed = polling.simulate(polling.Case(2000, pacing=polling.Fixed()))
    assert fixed.answered < 0.1 * fixed.asked  # what the pace is there for


def flat(rate: float) -> Callable[[int], float]:
    return lambda now: rate


@pytest.mark.parametrize("path", [PLAIN, TWIN], ids=lambda path: path.name)
@pytest.mark.parametrize("rate", [1_000.0, 40_000.0])
def test_a_constant_load_ends_in_a_constant_number_of_pods_that_carries_it(path, rate):
    seen = autoscaling.simulate(path, autoscaling.read(), flat(rate), 3600)
    assert len({one.pods for one in seen[-600:]}) == 1
    assert seen[-1].refused == 0
    assert rate <= seen[-1].pods * autoscaling.capacity(path)


def test_pods_stay_between_the_limits_of_the_manifest() -> None:
    scaler = autoscaling.read()
    load = autoscaling.ramp(0, 1e7, rises=60, holds=600)
    counts = {one.pods for one in autoscaling.simulate(PLAIN, scaler, load, 3600)}
    assert min(counts) == scaler.least
    assert max(counts) == scaler.most


def test_what_does_not_fit_is_refused_and_nothing_else() -> None:
    scaler = autoscaling.read()
    load = 3 * scaler.most * autoscaling.capacity(PLAIN)
    last = autoscaling.simulate(PLAIN, scaler, flat(load), 3600)[-1]
    served = last.pods * autoscaling.capacity(PLAIN)
    assert last.refused == pytest.approx(load - served, rel=0.01)


@pytest.mark.parametrize("path", [PLAIN, TWIN], ids=lambda path: path.name)
def test_what_waits_grows_with_the_load_of_a_pod(path: Path) -> None:
    rates = [part / 100 * autoscaling.capacity(path) for part in range(1, 100)]
    waits = [autoscaling.waiting(path, rate) for rate in rates]
    assert waits == sorted(waits)


def test_the_model_of_a_pod_agrees_with_what_was_measured_without_a_twin() -> None:
    assert autoscaling.batch(PLAIN, PLAIN.rate) == pytest.approx(32, rel=0.02)


def test_pods_for_a_load_carry_it_within_their_share() -> None:
    for path, rate in itertools.product((PLAIN, TWIN), (1, 10_000, 1_000_000)):
        pods = arithmetic.fleet(path, rate).pods
        assert pods * path.rate * arithmetic.USED >= rate
        assert pods == 2 or (pods - 1) * path.rate * arithmetic.USED < rate


@pytest.mark.breadth
def test_the_document_has_the_tables_that_the_simulations_make() -> None:
    text = DOCUMENT.read_text()
    for name in TABLES:
        assert f"<!-- table: {name} -->" in text
    assert text == filled(text), "Run: python -m benchmarks.scaling --write"
