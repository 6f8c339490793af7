"""A port that cannot be had is told by the option that asked for it."""

import pytest

from cloche.serving.errors import SettingsError
from cloche.serving.web.sockets import listen


@pytest.mark.parametrize("option", ["--port", "--grpc-port"])
def test_a_port_that_is_taken_is_told_by_its_option(option: str) -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f":{port}: something else.* another {option}"):
            listen("127.0.0.1", port, option)


def test_an_address_of_another_machine_is_told() -> None:
    with pytest.raises(SettingsError, match="no such address"):
        listen("203.0.113.1", 0)
