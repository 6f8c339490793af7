"""Counts of a rollout from Prometheus: resets, servers that come and go, and what goes wrong."""

import json
import shutil
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import generate_latest

from cloche.rollout.plan import Plan
from cloche.rollout.step import Step
from cloche.serving.observability.metrics import Metrics
from cloche.training.errors import RegistryError
from cloche.training.promotion.registry import RegisteredModel, find_model
from cloche.training.rollout import prometheus_api
from cloche.training.rollout.prometheus_api import PrometheusApi, PrometheusAway, Series
from cloche.training.rollout.prometheus_counts import CounterSums, PrometheusCounts
from cloche.training.rollout.rollout_state import RolloutState
from tests.broken_servers import answering
from tests.online import wait_for
from tests.shell import free_port
from tests.training.rollout.conftest import MODEL
from tests.training.rollout.prometheus_stand_in import prometheus

SINCE = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NAME = 'a "model" of \\ü'


def count(metrics, arm, requests, failures=0, *, seconds=0.01, model=NAME):
    """Have a server count requests of an arm, the first of which fail."""
    label = (model, "2" if arm in ("canary", "shadow") else "1", arm)
    for number in range(requests):
        metrics.arm_requests.labels(*label).inc()
        metrics.arm_seconds.labels(*label).observe(seconds)
        if number < failures:
            metrics.arm_failures.labels(*label, "error" if number % 2 else "timeout").inc()


def state_of(step, plan=None):
    tags = {
        "cloche.rollout": "running: ", "cloche.rollout_step": step.as_json(),
        "cloche.rollout_plan": (plan or Plan()).as_json(),
    }  # fmt: skip
    model = RegisteredModel(NAME, {"production": "1", "canary": "2"}, {})
    return RolloutState(model, "2", tags)


def series(*samples, **labels):
    return Series({"__name__": "n", "arm": "canary", **labels}, samples)


def test_a_counter_that_falls_began_at_zero_and_a_new_one_too():
    sums = CounterSums()
    sums.begin([series((0, 100.0), instance="a")])
    sums.add([series((10, 103.0), (20, 2.0), instance="a"), series((20, 5.0), instance="b")])
    sums.add([series((10, 103.0), (20, 2.0), (30, 4.0), instance="a")])
    assert sums.of("n", "canary") == 3 + 4 + 5


def test_what_servers_count_in_a_step_is_what_prometheus_tells_of_it():
    step, seconds = Step(10, SINCE, "1"), SINCE.timestamp()
    with prometheus() as (url, scraped):
        first, second = Metrics(), Metrics()
        count(first, "canary", 7, 7)
        count(first, "production", 70)
        scraped.scrape(first, "one", seconds - 30)  # an earlier step
        counts = PrometheusCounts(PrometheusApi(url))
        count(first, "canary", 20, 2)
        count(first, "production", 200, 1)
        scraped.scrape(first, "one", seconds + 30)
        count(second, "canary", 3, 1)
        count(second, "canary", 50, 50, model="another")
        scraped.scrape(second, "two", seconds + 60)
        told = counts.read(state_of(step), SINCE + timedelta(seconds=61))
        assert found(told) == (23, 3, 200, 1)
        restarted = Metrics()
        count(restarted, "canary", 4, 1)
        scraped.scrape(restarted, "one", seconds + 90)
        told = counts.read(state_of(step), SINCE + timedelta(seconds=91))
        assert found(told) == (27, 4, 200, 1)
        assert len(told.servers) == 2
        assert [told.counts.sum("canary", what) for what in ("callers", "failure_events")] == [0, 0]
        again = PrometheusCounts(PrometheusApi(url))  # another driver, hours later
        told = again.read(state_of(step), SINCE + timedelta(hours=5))
        assert found(told) == (27, 4, 200, 1)
        later = Step(50, SINCE + timedelta(seconds=95), "1")
        assert found(again.read(state_of(later), SINCE + timedelta(hours=5))) == (0, 0, 0, 0)


def found(state):
    """Requests and failures of the canary, and of production, at the share of the step."""
    return tuple(
        state.counts.of(state.step.percent, arm, what)
        for arm in ("canary", "production")
        for what in ("requests", "failures")
    )


def test_slow_is_what_is_beyond_the_bucket_of_productions_quantile():
    step, seconds = Step(10, SINCE, "1"), SINCE.timestamp()
    with prometheus() as (url, scraped):
        metrics, counts = Metrics(), PrometheusCounts(PrometheusApi(url))
        count(metrics, "production", 800)
        count(metrics, "canary", 80, seconds=0.5)
        scraped.scrape(metrics, "one", seconds + 10)
        told = counts.read(state_of(step), SINCE + timedelta(seconds=11)).counts
        assert told.rate(10, "production", "slow").requests == 0  # too few to say what is slow
        count(metrics, "production", 395)
        count(metrics, "production", 5, seconds=2.0)
        scraped.scrape(metrics, "one", seconds + 20)
        told = counts.read(state_of(step), SINCE + timedelta(seconds=21)).counts
        slow = {arm: told.rate(10, arm, "slow") for arm in ("production", "canary")}
        assert (slow["production"].requests, slow["production"].bad) == (1200, 5)
        assert (slow["canary"].requests, slow["canary"].bad) == (80, 80)
        told = counts.read(state_of(step, Plan(slow=None)), SINCE + timedelta(seconds=22)).counts
    assert not any("sum by" in query for query in scraped.queries[-1:])


def test_answers_of_a_shadow_that_differ_are_told():
    step, metrics = Step(10, SINCE, "1", shadow=True), Metrics()
    for arm, version in (("shadow", "2"), ("baseline", "1")):
        metrics.arm_requests.labels(NAME, version, arm).inc(30)
        metrics.arm_differences.labels(NAME, version, arm).inc(2)
    with prometheus() as (url, scraped):
        scraped.scrape(metrics, "one", SINCE.timestamp() + 10)
        state = PrometheusCounts(PrometheusApi(url)).read(
            state_of(step), SINCE + timedelta(seconds=20)
        )
    assert state.counts.rate(10, "shadow", "differences").bad == 2
    assert state.counts.rate(10, "baseline", "differences").requests == 30


@dataclass
class ScrapedServer:
    """A server that follows the aliases, counts in its metrics, and is scraped."""

    client: object
    scraped: object
    fails: float = 0.0
    metrics: Metrics = field(default_factory=Metrics)

    def count(self, now):
        aliases = self.client.get_registered_model(MODEL).aliases
        if "canary" in aliases:
            count(self.metrics, "canary", 300, round(300 * self.fails), model=MODEL)
            count(self.metrics, "production", 900, model=MODEL)
        self.scraped.scrape(self.metrics, "one", now)


def test_a_rollout_takes_its_steps_by_what_prometheus_counts(two, moments, walk, shown):
    with prometheus() as (url, scraped):
        moments.each.append(ScrapedServer(two, scraped).count)
        end = walk(prometheus=url)
    assert (end.outcome, find_model(two, MODEL).production) == ("promoted", "2")
    assert "each server aborts by its own" in shown.said[0]
    assert {len(look.state.servers) for look in shown.looks[1:]} == {1}


def test_a_version_that_fails_is_held_by_what_prometheus_counts_until_a_server_aborts_it(
    two, moments, walk, shown
):
    with prometheus() as (url, scraped):
        moments.each.append(ScrapedServer(two, scraped, fails=0.5).count)

        def abort(_):
            if len(shown.looks) == 5:
                two.set_model_version_tag(MODEL, "2", "cloche.rollout", "aborted: by a server")

        moments.each.append(abort)
        with pytest.raises(Exception, match="aborted: by a server"):
            walk(prometheus=url)
    assert {look.verdict.decision for look in shown.looks} == {"hold"}
    assert shown.looks[-1].arms["canary"].bad > 300


def test_a_prometheus_without_the_servers_is_told(two, moments, walk, shown):
    def end(_):
        if len(shown.looks) == 5:
            two.set_model_version_tag(MODEL, "2", "cloche.rollout", "aborted: enough")

    moments.each.append(end)
    with prometheus() as (url, _), pytest.raises(Exception, match="enough"):
        walk(prometheus=url)
    assert "does it scrape the /metrics of all servers?" in shown.looks[-1].sentence


def test_a_prometheus_that_is_away_is_told_once_and_asked_again(two, moments, walk, shown):
    with prometheus() as (_, scraped):
        moments.each.append(ScrapedServer(two, scraped).count)
        answer, left = scraped.answer, [3]

        def fail(handler, body):
            if scraped.queries and left[0]:
                left[0] -= 1
                handler.reply(503, b"busy")
                return
            answer(handler, body)

        with answering(fail) as broken:
            assert walk(prometheus=broken).outcome == "promoted"
    said = [one for one in shown.said if "when Prometheus answers" in one]
    assert len(said) == 1
    assert "status 503" in said[0]


def reply(status, body):
    return lambda handler, _: handler.reply(status, body, "application/json")


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (reply(404, b"<html>not here</html>"), "status 404 and no JSON"),
        (reply(400, b'{"status":"error","error":"parse error"}'), "status 400: parse error"),
        (reply(200, b'{"status":"success","data":{"result":[1]}}'), "otherwise than Prometheus"),
        (reply(200, b"[]"), "otherwise than Prometheus"),
        (lambda *_: time.sleep(2), "does not answer within 0.2 s"),
    ],
)
def test_what_is_wrong_with_the_answers_is_told_in_a_sentence(monkeypatch, answer, sentence):
    monkeypatch.setattr(prometheus_api, "_TIMEOUT", 0.2)
    with answering(answer) as url, pytest.raises(PrometheusAway, match=sentence) as caught:
        PrometheusApi(url.replace("http://", "http://user:secret@")).query("vector(1)", 0.0)
    assert "secret" not in str(caught.value)


def test_a_rollout_does_not_begin_without_an_answer_of_prometheus(two, walk):
    with pytest.raises(RegistryError, match=r"cannot be asked .*: does it run"):
        walk(prometheus=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(RegistryError, match=r"cannot be asked \(InvalidSchema\)"):
        walk(prometheus="prometheus:9090/x")
    assert "cloche.rollout" not in two.get_model_version(MODEL, "2").tags


@contextmanager
def real_prometheus(folder, *targets):
    """The address of a Prometheus that scrapes these addresses each second."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("no prometheus: apt-get install --yes --no-install-recommends prometheus")
    scrapes = [{"job_name": "cloche", "static_configs": [{"targets": list(targets)}]}]
    settings = {"global": {"scrape_interval": "1s"}, "scrape_configs": scrapes}
    (folder / "prometheus.yaml").write_text(json.dumps(settings))
    address = f"127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        [program, "--config.file=prometheus.yaml", "--storage.tsdb.path=data",
         f"--web.listen-address={address}", "--log.level=error"], cwd=folder,
    )  # fmt: skip
    try:
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(60)


@pytest.mark.slow
def test_the_real_prometheus_tells_what_its_stand_in_tells(tmp_path):
    metrics = [Metrics()]
    count(metrics[0], "canary", 10, 4)

    def page(handler, _):
        handler.reply(200, generate_latest(metrics[0].registry), "text/plain; version=0.0.4")

    def now():
        return datetime.now(UTC)

    with (
        answering(page) as server,
        real_prometheus(tmp_path, server.removeprefix("http://")) as url,
    ):
        api = PrometheusApi(url)

        def scraped(requests, at=None):
            selector = f'{{__name__="cloche_arm_requests_total",model={json.dumps(NAME)}}}'
            try:
                found = api.query(selector, (at or now()).timestamp())
            except PrometheusAway:  # it has yet to start
                return False
            return sum(one.samples[-1][1] for one in found) == requests

        wait_for(lambda: scraped(10, now().replace(microsecond=0)))  # as exact as a step's begin
        step, counts = Step(10, now(), "1"), PrometheusCounts(api)
        assert found(counts.read(state_of(step), now())) == (0, 0, 0, 0)
        count(metrics[0], "canary", 20, 3)
        count(metrics[0], "production", 995, 1)
        count(metrics[0], "production", 5, seconds=2.0)
        wait_for(lambda: scraped(1030))
        assert found(counts.read(state_of(step), now())) == (20, 3, 1000, 1)
        metrics[0] = Metrics()
        count(metrics[0], "canary", 6, 1, seconds=4.0)
        wait_for(lambda: scraped(6) or scraped(1006))
        told = counts.read(state_of(step), now())
        assert found(told) == (26, 4, 1000, 1)
        assert told.counts.rate(10, "production", "slow").bad == 5
        assert told.counts.rate(10, "canary", "slow").bad == 6
        again = PrometheusCounts(api).read(state_of(step), now())
        assert found(again) == (26, 4, 1000, 1)
