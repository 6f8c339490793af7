"""The lock on a real store: one holder at a time, and no holder for ever."""

import random
import threading

import pytest
from mlflow.entities.model_registry import RegisteredModel, RegisteredModelTag

from cloche.registry.lease import Lease
from cloche.training.errors import RegistryError
from cloche.training.names import LOCK
from cloche.training.promotion.lock import LEASE, Clock, promotion_lock


@pytest.fixture
def model(client):
    return client.create_registered_model("flight-delay").name


def claims(client):
    tags = client.get_registered_model("flight-delay").tags
    return [Lease.from_text(text) for key, text in tags.items() if key.startswith(f"{LOCK}.")]


def claim(client, token, holder, since):
    """Write what somebody else writes."""
    lease = Lease(token, holder, since, since + LEASE)
    client.set_registered_model_tag("flight-delay", f"{LOCK}.{token}", lease.to_text())


def test_the_claim_stands_while_the_lock_is_held_and_is_gone_afterwards(client, model, hands):
    before = hands.moment
    with promotion_lock(client, model, "ana", hands.clock) as held:
        assert [found.holder for found in claims(client)] == ["ana"]
        held.check()
    assert claims(client) == []
    assert hands.moment == before  # nobody waits where nobody else promotes


@pytest.mark.parametrize("token", ["0", "z"], ids=["who goes first", "who does not go"])
def test_the_second_one_is_told_who_and_since_when(client, model, hands, token):
    claim(client, token, "ana", hands.moment)
    hands.move(5)
    with (
        pytest.raises(
            RegistryError, match=r"ana is promoting flight-delay since 12:00:00 UTC \(\d+ s ago\)"
        ),
        promotion_lock(client, model, "bo", hands.clock),
    ):
        pytest.fail("two holders")
    assert [found.holder for found in claims(client)] == ["ana"]
    client.delete_registered_model_tag(model, f"{LOCK}.{token}")  # when that is done
    with promotion_lock(client, model, "bo", hands.clock) as held:
        held.check()


def test_who_goes_first_waits_until_the_other_one_has_gone(client, model, hands):
    claim(client, "z", "ana", hands.moment)

    def sleep(seconds):
        hands.move(seconds)
        client.delete_registered_model_tag(model, f"{LOCK}.z")

    clock = Clock(hands.clock.now, hands.clock.elapsed, sleep)
    with promotion_lock(client, model, "bo", clock) as held:
        assert held.model.name == model
        assert [found.holder for found in claims(client)] == ["bo"]


def test_a_holder_that_died_blocks_nobody_for_longer_than_its_lease(client, model, hands):
    claim(client, "0", "ana", hands.moment)
    hands.move(LEASE.total_seconds())
    with promotion_lock(client, model, "bo", hands.clock):
        assert {found.holder for found in claims(client)} == {"ana", "bo"}
    assert claims(client) == []


def test_what_is_no_claim_blocks_nobody(client, model, hands):
    client.set_registered_model_tag(model, f"{LOCK}.x", "soup")
    with promotion_lock(client, model, "bo", hands.clock) as held:
        held.check()


def test_nothing_is_written_in_the_second_half_of_a_lease(client, model, hands):
    """Clocks differ; whoever looks at a lease by a clock that is ahead sees it lapse before."""
    with promotion_lock(client, model, "ana", hands.clock) as held:
        hands.move(LEASE.total_seconds() / 2)
        held.check()
        hands.move(1)
        with pytest.raises(RegistryError, match="too long to change flight-delay safely"):
            held.check()


def test_work_that_fails_releases_the_lock(client, model, hands):
    with pytest.raises(KeyError), promotion_lock(client, model, "ana", hands.clock):
        raise KeyError
    assert claims(client) == []


class Registers:
    """A registry of a tag for each promotion, whose calls happen when the test says so."""

    def __init__(self):
        self.tags = {}

    def get_registered_model(self, name):
        return RegisteredModel(name, tags=[RegisteredModelTag(*tag) for tag in self.tags.items()])

    def set_registered_model_tag(self, _, key, value):
        self.tags[key] = value

    def delete_registered_model_tag(self, _, key):
        self.tags.pop(key, None)


class Turns:
    """Lets one thread at a time go as far as its next call of the registry, in a drawn order."""

    def __init__(self, registers, draw):
        self._registers, self._draw = registers, draw
        self._turn = threading.Condition()
        self._waiting, self._running = set(), 0

    def of(self, name):
        """The registry as one of the threads sees it."""

        class Client:
            def __getattr__(_, call):  # noqa: N805
                method = getattr(self._registers, call)

                def taken(*arguments):
                    self.wait(name)
                    return method(*arguments)

                return taken

        return Client()

    def wait(self, name):
        """Wait for one's turn."""
        with self._turn:
            self._waiting.add(name)
            self._running -= 1
            self._turn.notify_all()
            self._turn.wait_for(lambda: name not in self._waiting)

    def play(self, threads):
        """Run all of them to their end."""
        self._running = len(threads)
        for thread in threads:
            thread.start()
        while True:
            with self._turn:
                self._turn.wait_for(lambda: self._running == 0)
                if not self._waiting:
                    break
                self._waiting.remove(self._draw(sorted(self._waiting)))
                self._running = 1
                self._turn.notify_all()
        for thread in threads:
            thread.join()

    def leave(self):
        """This thread makes no call any more."""
        with self._turn:
            self._running -= 1
            self._turn.notify_all()


@pytest.mark.parametrize("seed", range(20))
def test_in_whatever_order_many_ask_there_is_one_holder_at_a_time_and_at_least_one(seed):
    order = random.Random(seed)  # noqa: S311
    people, turns = order.randint(2, 4), Turns(Registers(), order.choice)
    inside, most, held = [], [0], []
    clock = Clock(sleep=lambda _: None)

    def contend(name):
        try:
            with promotion_lock(turns.of(name), "m", name, clock):
                inside.append(name)
                held.append(name)
                most[0] = max(most[0], len(inside))
                for _ in range(3):
                    turns.wait(name)
                inside.remove(name)
        except RegistryError as error:
            assert "is promoting m" in str(error)  # noqa: PT017
        finally:
            turns.leave()

    turns.play([threading.Thread(target=contend, args=(f"p{n}",)) for n in range(people)])
    assert most[0] <= 1
    assert held
