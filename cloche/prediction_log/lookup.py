"""Finds the log of a model: named by an option, by the environment, or by its server's tag."""

import os

from cloche.prediction_log.destination import Destination
from cloche.prediction_log.errors import LogError

LOG_TAG = "cloche.log"  # of the registered model; a server with --log writes it
LOG_VARIABLE = "CLOCHE_LOG"


def find_log(model: str, named: str | None = None) -> Destination:
    """Return the destination of a model's log.

    Args:
        model: Name of the registered model.
        named: Destination that a user names; else the variable CLOCHE_LOG, else the model's tag.

    Raises:
        LogError: Nothing says where the log is.
        StoreUnknown: The destination is of no kind that is known here.
        DestinationFailed: The destination does not answer.
        MlflowException: The registry does not answer.
    """
    named = named or os.environ.get(LOG_VARIABLE) or _tag(model)
    if not named:
        raise LogError(
            f"nothing says where the predictions of {model} are logged: the model has no tag "
            f"{LOG_TAG}, which a server with --log writes; name the destination: "
            f"{LOG_VARIABLE}=DESTINATION"
        )
    return Destination.of(named)


def _tag(model: str) -> str | None:
    from mlflow import MlflowClient  # noqa: PLC0415 (slow, and not needed where the log is named)
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    try:
        tag: str | None = MlflowClient().get_registered_model(model).tags.get(LOG_TAG)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise LogError(
            f"the registry has no model {model!r}; name the log's destination: "
            f"{LOG_VARIABLE}=DESTINATION"
        ) from None
    return tag
