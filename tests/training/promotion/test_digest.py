"""Every way to fetch a version gives what its digest was taken of."""

import mlflow

from cloche.registry.version_digest import digest_tree
from cloche.training.gate.fetched_version import fetch


def test_every_way_to_fetch_a_version_gives_the_same_digest(client, log_version, tmp_path):
    version = client.get_model_version("flight-delay", log_version())
    client.copy_model_version("models:/flight-delay/1", "copied")
    folders = [tmp_path / name for name in ("fetched", "alias", "copied")]
    for folder in folders:
        folder.mkdir()
    fetched = fetch(version, folders[0]).folder
    alias = mlflow.artifacts.download_artifacts(
        "models:/flight-delay@challenger", dst_path=str(folders[1])
    )
    mlflow.artifacts.download_artifacts("models:/copied/1", dst_path=str(folders[2]))
    mlflow.pyfunc.load_model(alias)
    assert len({digest_tree(folder) for folder in (fetched, *folders[1:])}) == 1
