"""Which Host headers a server answers to, by where it listens and what it was told."""

from pathlib import Path
from typing import Any

import pytest

from cloche.serving.cloud_contract import Contract, Translation
from cloche.serving.settings import Settings
from cloche.serving.web.allowed_hosts import AllowedHosts, allowed_hosts
from cloche.serving.web.asgi import HttpError

FOREIGN = ("evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example")
LOOPBACK = ("localhost", "LOCALHOST:8080", "127.0.0.1", "127.0.0.1:80", "[::1]:8080", "127.1.2.3")
INSIDE = ("10.1.2.3:8080", "[fd00::1]:8080", "cloche", "cloche:8080", "cloche.models.svc")
CLOUD = Contract(predict_path="/", health_path="/", dialect=lambda *_: Translation("", b""))


def answered(hosts: AllowedHosts, *names: str) -> list[bool]:
    def one(name: str) -> bool:
        try:
            hosts.check([(b"accept", b"*/*"), (b"host", name.encode())])
        except HttpError as error:
            return error.status != 403 or "--allowed-hosts" not in str(error)
        return True

    return [one(name) for name in (*names, *names)]  # the second time from what it remembers


def hosts(**told: Any) -> AllowedHosts:
    return allowed_hosts(Settings(models=("m",), cache_directory=Path(), **told))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_a_server_of_this_machine_alone_has_the_names_of_loopback(host: str) -> None:
    found = hosts(host=host)
    assert all(answered(found, *LOOPBACK))
    assert not any(answered(found, *FOREIGN, *INSIDE))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5"])  # noqa: S104
def test_a_server_for_others_has_names_that_nobody_can_register(host: str) -> None:
    found = hosts(host=host)
    assert all(answered(found, *LOOPBACK, *INSIDE, "a.internal", "b.local.", "c.home.arpa"))
    assert not any(answered(found, *FOREIGN, "internal.evil.example"))


@pytest.mark.parametrize(
    ("named", "name"),
    [
        ("Models.example.com", "models.example.com"),
        ("models.example.com", "models.example.com:8443"),
        ("models.example.com:*", "models.example.com:8443"),
        ("*.example.com", "a.b.example.com"),
        ("*", "evil.example"),
        ("[2001:db8::1]", "[2001:db8::1]:8080"),
    ],
)
def test_it_has_the_names_that_are_named(named: str, name: str) -> None:
    found = hosts(allowed_hosts=(named,))
    assert all(answered(found, name, *LOOPBACK))
    assert any(answered(found, "other.example.org")) == (named == "*")
    assert all(answered(hosts(host="models.example.com"), "models.example.com:8080"))
    found = hosts(allowed_hosts=("a.example.com:80",))  # a name with a port is for that port
    assert answered(found, "a.example.com:80", "a.example.com:81")[:2] == [True, False]


def test_keys_and_clouds_guard_better_than_names() -> None:
    assert all(answered(hosts(api_keys=("k",)), *FOREIGN))
    assert all(answered(hosts(cloud_contract=CLOUD), *FOREIGN))
    assert not any(answered(hosts(api_keys=("k",), allowed_hosts=("a.example",)), *FOREIGN))
    hosts().check([(b"accept", b"*/*")])  # who names no host is no browser


def test_endless_names_are_not_all_remembered() -> None:
    found = hosts(host="0.0.0.0")  # noqa: S104
    for number in range(3000):
        answered(found, f"name-{number}", f"{number}.evil.example")
    assert len(found._known) <= 1024
    assert len(found._refused) <= 20
