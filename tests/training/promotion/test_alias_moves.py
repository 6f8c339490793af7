"""The order of the writes, and what follows the move of `production`."""

from datetime import UTC, datetime

import pytest
from mlflow.exceptions import MlflowException

from cloche.training.errors import RegistryError
from cloche.training.promotion.alias_moves import follow_up, move_production
from cloche.training.promotion.lock import Clock, Lock
from cloche.training.promotion.registry import find_model


class Witness:
    """Writes down the registry's writes, in their order."""

    def __init__(self, client):
        self._client = client
        self.writes = []

    def __getattr__(self, name):
        method = getattr(self._client, name)

        def call(*arguments, **options):
            if name.startswith(("set_", "delete_", "transition_")):
                self.writes.append((name, *arguments[1:]))
            return method(*arguments, **options)

        return call


def move(client, version, tags=None, *, lost=False):
    clock = Clock(now=lambda: datetime(2026, 3, 1, tzinfo=UTC))
    until = 0.0 if lost else clock.elapsed() + 60
    held = Lock(find_model(client, "flight-delay"), until, clock)
    return move_production(client, held, version, tags or {"a": "1"})


@pytest.fixture
def two(client, log_version):
    """Versions 1, which serves, and 2, the challenger."""
    first = log_version(challenger=False)
    move(client, first)
    return first, log_version()


def test_tags_come_first_then_previous_then_production_then_the_rest(client, two):
    witness = Witness(client)
    assert move(witness, "2", {"a": "1", "b": "2"}) is None
    assert witness.writes == [
        ("set_model_version_tag", "2", "a", "1"),
        ("set_model_version_tag", "2", "b", "2"),
        ("set_registered_model_alias", "previous", "1"),
        ("set_registered_model_alias", "production", "2"),
        ("set_model_version_tag", "1", "cloche.replaced_at", "2026-03-01T00:00:00+00:00"),
        ("delete_registered_model_alias", "challenger"),
        ("transition_model_version_stage", "2", "Production"),
    ]


def test_a_lock_that_was_lost_keeps_the_aliases_where_they_were(client, two):
    with pytest.raises(RegistryError, match="too long to change"):
        move(client, "2", lost=True)
    assert find_model(client, "flight-delay").aliases == {"production": "1", "challenger": "2"}


def test_the_first_version_has_no_previous_one(client, log_version):
    move(client, log_version())
    assert find_model(client, "flight-delay").aliases == {"production": "1"}


def test_a_challenger_that_came_later_stays(client, two, log_version):
    log_version()
    move(client, "2")
    assert find_model(client, "flight-delay").challenger == "3"


def test_a_registry_without_stages_is_promoted_all_the_same(client, two):
    class WithoutStages(Witness):
        def transition_model_version_stage(self, *_, **__):
            raise MlflowException("stages are unsupported in this catalog")

    assert "unsupported in this catalog" in move(WithoutStages(client), "2")
    assert find_model(client, "flight-delay").production == "2"


def test_an_mlflow_without_stages_is_promoted_all_the_same(client, two):
    class Later(Witness):
        def __getattr__(self, name):
            if name == "transition_model_version_stage":
                raise AttributeError(name)
            return super().__getattr__(name)

    assert move(Later(client), "2") == "this MLflow has no stages"


def test_what_follows_may_be_done_again(client, two):
    move(client, "2")
    before = find_model(client, "flight-delay")
    assert follow_up(client, before, "2") is None
    assert find_model(client, "flight-delay") == before
