"""What people do to a rollout while a driver walks it, and when none does."""

import pytest

from cloche.training.errors import RegistryError, RolloutAborted
from cloche.training.promotion.registry import find_model
from cloche.training.rollout.commands import RolloutCommands
from tests.training.rollout.conftest import MODEL


@pytest.fixture
def commands(two, moments):
    """What a person may do now, as the registry is."""
    return lambda version=None: RolloutCommands(two, MODEL, version, moments.clock)


@pytest.fixture
def at(moments):
    """Do something once so many moments have passed."""

    def later(count, act):
        passed = iter(range(count + 1))

        def happen(_):
            if next(passed, None) == count:
                act()

        moments.each.append(happen)

    return later


def tags(client):
    return client.get_model_version(MODEL, "2").tags


@pytest.mark.usefixtures("server")
def test_a_rollout_that_is_paused_keeps_its_share_until_it_is_resumed(walk, commands, at, shown):
    def pause():
        commands().pause("lunch")
        assert commands().is_driven

    at(0, pause)
    at(6, lambda: commands().resume())
    assert walk().outcome == "promoted"

    paused = [look for look in shown.looks if look.state.word == "paused"]
    assert {look.step.percent for look in paused} == {10}
    assert len(paused) >= 5
    assert "lunch" in paused[0].reasons[0]
    assert paused[-1].verdict.decision == "advance"


def test_a_rollout_that_a_person_aborts_ends_with_that_reason(two, server, walk, commands, at):
    at(0, lambda: commands().abort("callers complain"))
    with pytest.raises(RolloutAborted, match=r"was aborted: by .*, callers complain"):
        walk()
    assert find_model(two, MODEL).aliases == {"production": "1", "challenger": "2"}


def test_a_person_may_skip_the_remaining_steps(two, server, walk, commands, at):
    at(0, lambda: commands().promote("seen enough"))
    end = walk()
    assert end.outcome == "promoted"
    assert end.reason.endswith("seen enough, at 10 % of the callers, step 1 of 2")
    assert tags(two)["cloche.reason"] == end.reason
    assert server.served == ["canary 10"]
    assert find_model(two, MODEL).aliases == {"production": "2", "previous": "1"}


@pytest.fixture
def left_alone(two, server, walk, moments):
    """A rollout at its first step, whose driver was killed some time ago."""

    class Killed(BaseException):
        """The process is gone."""

    def kill(_):
        moments.each.remove(kill)
        raise Killed

    moments.each.append(kill)
    with pytest.raises(Killed):
        walk()
    moments.move(120)


@pytest.mark.parametrize("end", ["abort", "promote"])
def test_without_a_driver_the_command_itself_completes_the_end(two, left_alone, commands, end):
    assert not commands().is_driven
    getattr(commands(), end)("seen enough")
    run = two.get_run(tags(two)["cloche.rollout_run_id"])
    assert run.info.status == "FINISHED"
    assert "cloche.rollout_step" not in tags(two)
    assert find_model(two, MODEL).production == ("1" if end == "abort" else "2")
    if end == "promote":
        with pytest.raises(RegistryError, match="is in production; `cloche rollback flight-delay`"):
            commands("2").abort(None)


def test_resuming_restores_what_was_changed_by_hand(two, left_alone, walk, commands):
    two.set_model_version_tag(MODEL, "2", "cloche.canary_percent", "3")
    with pytest.raises(RegistryError, match="somebody steers"):
        walk()
    commands().resume()
    assert tags(two)["cloche.canary_percent"] == "10"
    assert walk().outcome == "promoted"


def test_a_canary_by_hand_is_aborted_too(two, commands):
    two.set_registered_model_alias(MODEL, "canary", "2")
    commands().abort(None)
    assert "canary" not in find_model(two, MODEL).aliases
    assert tags(two)["cloche.rollout"].startswith("aborted: by ")


@pytest.mark.parametrize("command", ["pause", "resume", "promote", "abort"])
def test_what_has_no_rollout_is_told(two, commands, command):
    with pytest.raises(RegistryError, match=r"has no rollout.*`cloche rollout flight-delay`"):
        commands()
    arguments = () if command == "resume" else (None,)
    with pytest.raises(RegistryError, match=r"has not begun|has no rollout"):
        getattr(commands("2"), command)(*arguments)
