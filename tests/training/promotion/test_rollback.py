"""The way back, and the ways that are none."""

import pytest

from cloche.training.errors import RegistryError
from cloche.training.names import DIGEST, PROMOTED_AT
from cloche.training.promotion import rollback
from cloche.training.promotion.alias_moves import move_production
from cloche.training.promotion.lock import promotion_lock
from cloche.training.promotion.registry import find_model
from cloche.training.promotion.rollback import roll_back


@pytest.fixture
def three(client, log_version, mark_promoted):
    """Version 1 served before, 2 serves now, 3 never passed a gate."""
    client.create_registered_model("flight-delay")
    for _ in range(2):
        client.create_model_version("flight-delay", "file:///nowhere")
    log_version(challenger=False)
    mark_promoted("1", "previous")
    mark_promoted("2", "production")


@pytest.fixture
def back(client, hands):
    return lambda **options: roll_back(client, "flight-delay", clock=hands.clock, **options)


@pytest.fixture
def promoted_over(client, hands):
    """(version) → it is put into production as a promotion puts it."""

    def move(version):
        tags = {PROMOTED_AT: "2026-01-01T00:00:00+00:00", DIGEST: "d" * 64}
        with promotion_lock(client, "flight-delay", "ana", hands.clock) as held:
            move_production(client, held, version, tags)

    return move


def aliases(client):
    return dict(find_model(client, "flight-delay").aliases)


def test_production_returns_to_previous_and_a_second_rollback_undoes_the_first(client, three, back):
    done = back(reason="slow in the evening")
    assert (done.version, done.replaced) == ("1", "2")
    assert aliases(client) == {"production": "1", "previous": "2"}
    tags = client.get_model_version("flight-delay", "1").tags
    assert tags["cloche.reason"] == "slow in the evening"
    assert tags["cloche.promoted_at"] == "2026-03-01T12:00:00+00:00"
    assert tags["cloche.gate"] == "passed"
    back()
    assert aliases(client) == {"production": "2", "previous": "1"}
    tags = client.get_model_version("flight-delay", "2").tags
    assert tags["cloche.reason"] == "rolled back from version 1"


def test_it_goes_back_further_by_number(client, three, back, log_version, mark_promoted):
    mark_promoted(log_version(challenger=False), "production")
    back(to="1")
    assert aliases(client)["production"] == "1"
    assert aliases(client)["previous"] == "4"


def test_a_version_that_was_never_promoted_needs_force_and_gets_its_digest(client, three, back):
    with pytest.raises(RegistryError, match=r"3 was never in production \(promoted before: 1\)"):
        back(to="3")
    assert aliases(client)["production"] == "2"
    back(to="3", force=True, reason="the only one that fits the new client")
    tags = client.get_model_version("flight-delay", "3").tags
    assert tags["cloche.gate"] == "forced"
    assert len(tags["cloche.digest"]) == 64


def test_the_version_that_serves_is_no_way_back(three, back):
    with pytest.raises(RegistryError, match="version 2 is in production already"):
        back(to="2")


def test_a_previous_that_an_interrupted_promotion_left_on_production_is_no_way_back(
    client, three, back
):
    client.set_registered_model_alias("flight-delay", "previous", "2")
    with pytest.raises(RegistryError, match="promoted before: 1; name one: --to N"):
        back()


def test_what_served_before_an_alias_was_moved_by_hand_is_not_passed_over(client, three, back):
    """`previous` is two steps back then; a promotion that was interrupted looks the same."""
    client.set_registered_model_alias("flight-delay", "production", "3")
    with pytest.raises(RegistryError, match=r"promoted is version 2: .* --to 2, if it .* --to 1, "):
        back()
    assert aliases(client) == {"production": "3", "previous": "1"}
    back(to="2")
    assert aliases(client) == {"production": "2", "previous": "3"}
    assert back().version == "3"  # its tags say since when it serves


def test_a_version_that_an_alias_was_set_on_by_hand_was_in_production_as_well(
    client, log_version, back, promoted_over
):
    """By the word of every command: what promote says of it, and each way to go back to it."""
    by_hand, second, third = (log_version(challenger=False) for _ in range(3))
    client.set_registered_model_alias("flight-delay", "production", by_hand)
    promoted_over(second)
    back()
    assert aliases(client) == {"production": by_hand, "previous": second}
    assert len(client.get_model_version("flight-delay", by_hand).tags["cloche.digest"]) == 64
    assert "cloche.gate" not in client.get_model_version("flight-delay", by_hand).tags
    back()
    promoted_over(third)
    assert aliases(client) == {"production": third, "previous": second}
    client.delete_model_version_tag("flight-delay", by_hand, "cloche.promoted_at")
    back(to=by_hand)
    assert aliases(client)["production"] == by_hand


def test_aliases_that_move_while_the_way_back_is_looked_for_are_not_moved(
    client, three, back, monkeypatch
):
    look = rollback.promotion_lock

    def late(*arguments):
        client.set_registered_model_alias("flight-delay", "production", "3")
        return look(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(rollback, "promotion_lock", late)
        with pytest.raises(RegistryError, match=r"moved just now; .* run the command again$"):
            back()
    assert aliases(client) == {"production": "3", "previous": "1"}
    assert back(to="1").version == "1"
