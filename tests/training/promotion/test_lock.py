"""The lock on a real store: one holder at a time, and no holder for ever."""

import threading

import pytest
from mlflow.exceptions import MlflowException

from cloche.training.errors import RegistryError
from cloche.training.names import LOCK
from cloche.training.promotion.lease import Lease
from cloche.training.promotion.lock import LEASE, SETTLE_SECONDS, Clock, promotion_lock


@pytest.fixture
def model(client):
    return client.create_registered_model("flight-delay").name


def claimed(client, model):
    return Lease.from_text(client.get_registered_model(model).tags.get(LOCK))


def test_the_claim_stands_while_the_lock_is_held_and_is_gone_afterwards(client, model, hands):
    with promotion_lock(client, model, "ana", hands.clock) as check:
        assert claimed(client, model).holder == "ana"
        check()
    assert claimed(client, model) is None


def test_the_second_one_is_told_who_and_since_when(client, model, hands):
    with promotion_lock(client, model, "ana", hands.clock):
        hands.move(5)
        with (
            pytest.raises(
                RegistryError, match=r"ana is promoting flight-delay since 12:00:00 UTC \(9 s ago\)"
            ),
            promotion_lock(client, model, "bo", hands.clock),
        ):
            pytest.fail("two holders")
        assert claimed(client, model).holder == "ana"


def test_a_holder_that_died_blocks_nobody_for_longer_than_its_lease(client, model, hands):
    dead = Lease("t0", "ana", hands.moment, hands.moment + LEASE)
    client.set_registered_model_tag(model, LOCK, dead.to_text())
    hands.move(LEASE.total_seconds())
    with promotion_lock(client, model, "bo", hands.clock):
        assert claimed(client, model).holder == "bo"


def test_whoever_was_overwritten_while_waiting_does_not_get_the_lock(client, model, hands):
    def sleep(seconds):
        hands.move(seconds)
        rival = Lease("t2", "bo", hands.moment, hands.moment + LEASE)
        client.set_registered_model_tag(model, LOCK, rival.to_text())

    clock = Clock(hands.clock.now, hands.clock.elapsed, sleep)
    with (
        pytest.raises(RegistryError, match="bo took over the promotion of flight-delay"),
        promotion_lock(client, model, "ana", clock),
    ):
        pytest.fail("two holders")
    assert claimed(client, model).holder == "bo"


@pytest.mark.parametrize("rival", ["bo", None])
def test_a_store_that_fails_one_of_two_simultaneous_claims_tells_who_won(
    client, model, hands, rival
):
    class Clashing:
        def __getattr__(self, name):
            return getattr(client, name)

        def set_registered_model_tag(self, *_):
            if rival:
                lease = Lease("t2", rival, hands.moment, hands.moment + LEASE)
                client.set_registered_model_tag(model, LOCK, lease.to_text())
            raise MlflowException("UNIQUE constraint failed")

    error, message = (
        (RegistryError, "bo is promoting") if rival else (MlflowException, "UNIQUE constraint")
    )
    with (
        pytest.raises(error, match=message),
        promotion_lock(Clashing(), model, "ana", hands.clock),
    ):
        pytest.fail("two holders")


def test_a_lease_that_ran_out_fails_the_check_before_the_write_that_matters(client, model, hands):
    with promotion_lock(client, model, "ana", hands.clock) as check:
        hands.move(LEASE.total_seconds())
        with pytest.raises(RegistryError, match="took over"):
            check()


def test_a_registry_that_answers_too_slowly_for_the_algorithm_is_refused(client, model, hands):
    class Slow:
        def __getattr__(self, name):
            hands.move(SETTLE_SECONDS / 2)
            return getattr(client, name)

    with (
        pytest.raises(RegistryError, match="too long to promote safely"),
        promotion_lock(Slow(), model, "ana", hands.clock),
    ):
        pytest.fail("no safe lock")


def test_a_registry_that_hashes_a_password_for_each_request_is_fast_enough(client, model, hands):
    class Hashing:
        def __getattr__(self, name):
            hands.move(0.9)  # seen on a server that was busy otherwise, too
            return getattr(client, name)

    with promotion_lock(Hashing(), model, "ana", hands.clock) as check:
        check()


def test_work_that_fails_releases_the_lock(client, model, hands):
    with pytest.raises(KeyError), promotion_lock(client, model, "ana", hands.clock):
        raise KeyError
    assert claimed(client, model) is None


@pytest.mark.slow
def test_of_many_at_once_exactly_one_wins_and_the_others_are_told(client, model):
    # A machine that stalls for a second is not what this is about: no time passes while writing.
    clock = Clock(elapsed=lambda: 0.0)
    ready, done = threading.Barrier(4), threading.Event()
    inside, told = [], []

    def contend(name):
        ready.wait()
        try:
            with promotion_lock(client, model, name, clock):
                inside.append(name)
                done.wait(60)
        except RegistryError as error:
            told.append(str(error))
        if len(told) == 3:
            done.set()

    threads = [threading.Thread(target=contend, args=(f"person {n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(inside) == 1
    assert len(told) == 3
    assert all("promot" in message for message in told)
