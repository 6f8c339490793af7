import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import warm
from tests.online import serving
from tests.protocol.others.clients import KEY, KINDS, Protocols


@pytest.fixture(scope="session")
def protocols(zoo: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Protocols]:
    """A server with a few kinds of model, with an API key and all protocols."""
    directory = tmp_path_factory.mktemp("protocols")
    model = directory / "typed"
    program = Path(__file__).with_name("typed.py")
    subprocess.run([warm.python(), program, model], check=True, capture_output=True)
    named = [*(f"{kind}={zoo / kind}" for kind in KINDS), f"typed={model}"]
    # It follows nothing and lives as long as the session: others need what looking often costs.
    options = ("--grpc-port", "0", "--max-body", "1000000", "--poll-interval", "3600")
    environment = {"CLOCHE_API_KEYS": KEY}
    with serving(*named, *options, directory=directory, environment=environment) as server:
        server.key = KEY
        yield Protocols(server.wait_until_ready(), server.grpc_address())
