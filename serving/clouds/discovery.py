"""In which cloud a container runs, told by its environment."""

from collections.abc import Mapping

from cloche.serving.cloud_contract import Cloud
from cloche.serving.clouds import sagemaker, vertex


def find(environment: Mapping[str, str]) -> Cloud:
    """The cloud that gave this environment: Vertex AI where it says so, otherwise SageMaker.

    SageMaker is not asked for a sign, because its contract is also that of the images that MLflow
    builds, wherever they run.

    Raises:
        SettingsError: A variable cannot be read.
    """
    if any(environment.get(name) for name in vertex.VARIABLES):
        return vertex.cloud(environment)
    return sagemaker.cloud(environment)
