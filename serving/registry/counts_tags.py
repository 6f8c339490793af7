"""The tags of a version in which servers tell what they count of its rollout.

The tag of a server that was killed stays, so that its counts are not lost.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from mlflow.tracking import MlflowClient

from cloche.rollout.registry_keys import COUNTS_TAG
from cloche.rollout.server_counts import ServerCounts

_COUNTING_SECONDS = 600.0  # since the last write, after which a server has ended or has no requests


def write(client: MlflowClient, model: str, version: str, server: str, value: str) -> None:
    """Write the tag of a server."""
    client.set_model_version_tag(model, version, COUNTS_TAG + server, value)


def remove(client: MlflowClient, model: str, version: str, run_id: str) -> None:
    """Remove the tags of all servers that counted the rollout of a run."""
    tags = client.get_model_version(model, version).tags
    for server in counts_of_servers(tags, run_id):
        client.delete_model_version_tag(model, version, COUNTS_TAG + server)


def counting_servers(tags: Mapping[str, str], run_id: str) -> tuple[str, ...]:
    """Return the servers that have counted requests of the rollout of a run lately."""
    oldest = datetime.now(UTC).timestamp() - _COUNTING_SECONDS
    found = counts_of_servers(tags, run_id)
    return tuple(server for server, counts in found.items() if counts.at >= oldest)


def counts_of_servers(tags: Mapping[str, str], run_id: str) -> dict[str, ServerCounts]:
    """Return what servers have counted in the rollout of a run, by their names."""
    found = {}
    for key, value in tags.items():
        if not key.startswith(COUNTS_TAG):
            continue
        try:
            counts = ServerCounts.parse(value)
        except ValueError:
            continue  # of another release of Cloche
        if counts.run_id == run_id:
            found[key.removeprefix(COUNTS_TAG)] = counts
    return found
