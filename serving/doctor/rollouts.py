"""Checks of the arms beside production: whether their tags make sense, and somebody drives them."""

import math
import shlex
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from cloche.registry.lease import Lease, blocking_lease
from cloche.rollout.registry_keys import (
    ABORTED,
    CANARY,
    CANARY_PERCENT_TAG,
    DRIVER_TAG,
    HOLDING,
    ROLLOUT_TAG,
    RUNNING,
    SHADOW,
    SHADOW_PERCENT_TAG,
)
from cloche.serving.doctor.check_result import CheckResult, fail, ok, warn
from cloche.serving.registry.uri import ModelUri

_MOST = {CANARY: (CANARY_PERCENT_TAG, 100), SHADOW: (SHADOW_PERCENT_TAG, 50)}


def check_rollouts(uris: Iterable[ModelUri]) -> Iterator[CheckResult]:
    """Check the canary and the shadow of each model that is served."""
    client = MlflowClient()
    for model in dict.fromkeys(uri.model for uri in uris if uri.model):
        try:
            aliases = client.get_registered_model(model).aliases
            for arm in _MOST:
                if arm in aliases:
                    tags = client.get_model_version(model, aliases[arm]).tags
                    yield _arm(model, str(aliases[arm]), arm, tags)
        except MlflowException:
            continue  # the check of the model's version has told it


def _arm(model: str, version: str, arm: str, tags: dict[str, str]) -> CheckResult:
    check, name = f"{arm} of {model}", shlex.quote(model)
    tag, most = _MOST[arm]
    state = tags.get(ROLLOUT_TAG, "")
    if not _is_share(tags.get(tag, "1"), most):
        return fail(
            check,
            f"the tag {tag} of version {version} is {tags[tag]!r}, no number from 0 to {most}: it "
            "gets no requests",
            "set the tag to such a number",
        )
    if state.startswith(ABORTED) and arm == CANARY:  # whose shadow shows people what it does
        return warn(
            check,
            f"version {version} has the alias, and gets no requests: {state}",
            f"cloche rollout abort {name} takes the alias away",
        )
    lease = blocking_lease(Lease.from_text(tags.get(DRIVER_TAG)), "", datetime.now(UTC))
    if state.startswith((RUNNING, HOLDING)) and lease is None:
        return warn(
            check,
            f"the rollout of version {version} is {state}, and nobody drives it",
            f"cloche rollout {name} --version {version}",
        )
    return ok(check, f"is version {version}")


def _is_share(text: str, most: float) -> bool:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    return 0 <= share <= most
