"""What workers are told of the server's limits."""

import pytest

from cloche.serving.server.parent import share_of
from cloche.serving.settings import Settings


@pytest.mark.parametrize("workers", [2, 3, 8])
def test_the_limits_of_all_workers_together_are_those_of_the_server(workers: int) -> None:
    settings = Settings(models=("models:/m/1",), workers=workers, max_connections=1000, max_body=7)
    share = share_of(settings)
    for limit in ("max_queue", "max_queue_rows", "max_queue_bytes", "max_connections"):
        whole, part = getattr(settings, limit), getattr(share, limit)
        assert whole <= workers * part < whole + workers
    assert share.max_body == 7  # of one request
