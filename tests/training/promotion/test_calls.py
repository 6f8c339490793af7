"""How often the registry is asked: by the number of calls, for their time is that of its server."""

from collections import Counter

import pytest

from cloche.registry.version_listing import registered_models, versions_with_alias
from cloche.training.names import DIGEST, GATE, PROMOTED_AT
from cloche.training.promotion import promote as promoting
from cloche.training.promotion.alias_moves import move_production
from cloche.training.promotion.lock import promotion_lock
from cloche.training.promotion.promote import promote
from cloche.training.promotion.registry import find_model
from cloche.training.promotion.rollback import roll_back
from cloche.training.promotion.status import overview, status

MANY = 40


class Counting:
    """A client that counts its calls."""

    def __init__(self, client):
        self._client = client
        self.calls = Counter()

    def __getattr__(self, name):
        method = getattr(self._client, name)
        if not callable(method):
            return method

        def call(*arguments, **options):
            self.calls[name] += 1
            return method(*arguments, **options)

        return call


@pytest.fixture
def counted(client):
    return Counting(client)


@pytest.fixture
def many(client):
    """Models with three versions: the last one asks, and the first one serves or is forgotten."""
    for at in range(MANY):
        name = f"m{at:02}"
        client.create_registered_model(name)
        for _ in range(3):
            client.create_model_version(name, "file:///nowhere")
        client.set_registered_model_alias(name, "challenger", "3")
        if at % 2:
            client.set_registered_model_alias(name, "production", "2")
            client.transition_model_version_stage(name, "2", "Production")
    client.set_registered_model_alias("m01", "canary", "1")


@pytest.mark.filterwarnings("ignore:.*transition_model_version_stage")
def test_many_models_are_told_of_in_one_call_and_one_for_each_version_that_is_not_listed(
    counted, many
):
    told = overview(counted, registered_models(counted))
    assert len(told) == MANY
    assert [version.aliases for version in told[1].versions] == [
        ("challenger",), ("production",), ("canary",),
    ]  # fmt: skip
    assert counted.calls == {"search_registered_models": 1, "get_model_version": 1}
    assert len(versions_with_alias(counted, "production")) == MANY / 2
    assert counted.calls["search_registered_models"] == 2


def test_versions_of_one_model_are_listed_in_one_call(client, counted):
    client.create_registered_model("m")
    for _ in range(60):
        client.create_model_version("m", "file:///nowhere")
    found = status(counted, "m", most=10)
    assert (len(found.versions), found.more) == (10, 50)
    assert counted.calls == {"get_registered_model": 1, "search_model_versions": 1}


@pytest.fixture
def served(client, hands):
    """Version 1 was replaced by version 2, which serves."""
    client.create_registered_model("m")
    for number in "12":
        client.create_model_version("m", "file:///nowhere")
        with promotion_lock(client, "m", "ana", hands.clock) as held:
            move_production(
                client, held, number, {GATE: "passed", PROMOTED_AT: "now", DIGEST: "d" * 64}
            )


def test_a_promotion_with_nothing_to_do_only_looks(counted, served, hands, monkeypatch):
    monkeypatch.setattr(promoting, "promotion_lock", lambda *_: pytest.fail("it took the lock"))
    before = hands.moment
    promote(counted, "m", promoting.PromotionRequest(version="2"), clock=hands.clock)
    assert counted.calls == {"get_registered_model": 1, "get_model_version": 1}
    assert hands.moment == before


def test_what_an_interrupted_promotion_left_is_done(client, served, hands):
    client.set_registered_model_alias("m", "challenger", "2")
    promote(client, "m", clock=hands.clock)
    assert find_model(client, "m").aliases == {"production": "2", "previous": "1"}


def test_a_way_back_takes_no_more_than_its_reads_and_writes(counted, served, hands):
    before = hands.moment
    roll_back(counted, "m", clock=hands.clock)
    assert counted.calls == {
        "get_registered_model": 2,  # before the lock, and in it
        "search_model_versions": 1,  # whether an alias was moved by hand
        "get_model_version": 1,
        "set_registered_model_tag": 1,  # the lock
        "delete_registered_model_tag": 1,
        "set_model_version_tag": 4,
        "set_registered_model_alias": 2,
        "transition_model_version_stage": 1,
    }
    assert hands.moment == before
