"""A real MLflow server that pushes what happens in its registry."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import requests
from cryptography.fernet import Fernet
from mlflow import MlflowClient

from tests.lifecycle.registry import Registry, Serve
from tests.online import tracking_server

pytestmark = pytest.mark.slow

# MLflow pushes to https at public addresses only, unless it is told otherwise.
LOOPBACK = {
    "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
    "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
}
ALIASES = ["model_version_alias.created", "model_version_alias.deleted"]


@pytest.fixture
def pushing(registry: Registry) -> Iterator[str]:
    """The address of an MLflow server with two versions of `m`, the first in production."""
    registry.register("", "")
    registry.promote("1")  # past the server, which would remember for a minute that nobody listens
    key = {"MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": Fernet.generate_key().decode()}
    with tracking_server(registry.uri, registry.directory, environment=LOOPBACK | key) as url:
        yield url


@pytest.mark.breadth
def test_a_promotion_that_mlflow_pushes_is_followed_without_a_poll(
    pushing: str, serve: Serve
) -> None:
    server = serve(
        "--poll-interval", "3600", MLFLOW_TRACKING_URI=pushing, CLOCHE_WEBHOOK_SECRET="s"
    ).wait_until_ready()
    client, url = MlflowClient(pushing), f"{server.url}/webhooks/registry"
    now = str(int(datetime.now(UTC).timestamp()))
    unsigned = {"X-MLflow-Delivery-Id": "d", "X-MLflow-Timestamp": now}
    assert requests.post(url, "{}", headers=unsigned, timeout=30).status_code == 401
    stranger = client.create_webhook("stranger", url, ALIASES, secret="another")
    assert client.test_webhook(stranger.webhook_id).response_status == 401
    client.delete_webhook(stranger.webhook_id)

    hook = client.create_webhook("cloche", url, ALIASES, secret="s")
    assert client.test_webhook(hook.webhook_id).response_status == 202
    client.set_registered_model_alias("m", "production", "2")
    server.wait_for_version("2")
