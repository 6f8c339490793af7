"""The detection of a container's cloud from its environment variables."""

from collections.abc import Mapping

from cloche.serving.cloud_contract import Cloud
from cloche.serving.clouds import sagemaker, vertex


def find(environment: Mapping[str, str]) -> Cloud:
    """The cloud of this environment: Vertex AI if one of its variables is set, else SageMaker.

    SageMaker needs no variable of its own, because its contract is also that of the images that
    MLflow builds, wherever they run.

    Raises:
        SettingsError: A variable cannot be parsed.
    """
    if any(environment.get(name) for name in vertex.VARIABLES):
        return vertex.cloud(environment)
    return sagemaker.cloud(environment)
