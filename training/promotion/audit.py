"""The audit trail in the tags of a version: who moved an alias, when and why."""

import getpass
from collections.abc import Mapping
from datetime import datetime

from cloche.training.names import PROMOTED_AT, PROMOTED_BY, REASON

# Variable that marks a CI system → the variables with the person who started the job, and with the
# job's id or URL.
_CI: dict[str, tuple[str, str]] = {
    "GITHUB_ACTIONS": ("GITHUB_ACTOR", "GITHUB_RUN_ID"),
    "GITLAB_CI": ("GITLAB_USER_LOGIN", "CI_JOB_URL"),
    "JENKINS_URL": ("BUILD_USER_ID", "BUILD_URL"),
    "TF_BUILD": ("BUILD_REQUESTEDFOR", "BUILD_BUILDID"),
}


def promoter(environ: Mapping[str, str]) -> str:
    """Return who promotes: the person behind a CI job, the MLflow user name, or the system's user.

    Args:
        environ: Environment variables of the process.
    """
    for marker, (actor, job) in _CI.items():
        if environ.get(marker):
            person = environ.get(actor, "somebody")
            return f"{person} ({' '.join(filter(None, (marker, environ.get(job))))})"
    known = environ.get("MLFLOW_TRACKING_USERNAME")
    if known:
        return known
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # in a container, the user id may have no name
        return "unknown"


def audit_tags(*, at: datetime, by: str, reason: str) -> dict[str, str]:
    """Return the tags that say when (UTC), by whom and why a version was put into production."""
    return {PROMOTED_AT: at.isoformat(timespec="seconds"), PROMOTED_BY: by, REASON: reason}
