"""A server that starts while its registry is away, in every way in which a registry can be away."""

import shutil
from pathlib import Path

import pytest

from cloche.serving.registry.cache import Cache, registry_name
from cloche.serving.registry.resolved_version import ResolvedVersion
from tests.broken_servers import AWAY
from tests.lifecycle.registry import saved
from tests.online import serving, wait_for
from tests.stores import stores

pytestmark = pytest.mark.slow

MODELS = [f"m{at}" for at in range(6)]  # more than the registry process asks for at once


def remember(directory: Path, url: str, model: str) -> None:
    """Leave in the cache what a server that followed the model leaves there."""
    with stores(url):
        cache = Cache(directory / "cache" / "cloche", registry_name())
    target = ResolvedVersion("1", f"models:/{model}/1", f"{model}/1", "1", model=model)
    cache.artifacts(target, lambda fresh: shutil.copytree(saved(1, ""), fresh, dirs_exist_ok=True))
    cache.remember(f"models:/{model}@production", target)


@pytest.mark.parametrize(
    "way",
    [way if way == "refused" else pytest.param(way, marks=pytest.mark.breadth) for way in AWAY],
)
def test_what_served_last_is_served_from_the_cache_and_the_rest_says_why_not(
    way: str, tmp_path: Path
) -> None:
    with AWAY[way]() as url:
        for model in MODELS[:2]:
            remember(tmp_path, f"{url}/" if url.startswith("http") else url, model)
        uris = [f"models:/{model}@production" for model in reversed(MODELS)]
        variables = {"MLFLOW_TRACKING_URI": url}
        with serving(*uris, directory=tmp_path, environment=variables) as server:
            for model in MODELS[:2]:
                wait_for(lambda model=model: server.state(model)["ready"])
                assert server.version(model) == "1"
            assert server.predict(path=f"/models/{MODELS[0]}/invocations").json() == {
                "predictions": [1]
            }
            wait_for(lambda: "nothing is in the cache" in server.state(MODELS[-1])["problem"])
            assert server.get("/readyz").status_code == 503
