"""What the registry says of the versions beside production: in words, and as plain data."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mlflow import MlflowClient

from cloche.rollout.registry_keys import CANARY, CANARY_PERCENT_TAG, SHADOW, SHADOW_PERCENT_TAG
from cloche.training.rollout.look import take_look
from cloche.training.rollout.rollout_state import RolloutState, read_state

_TAGS = {CANARY: CANARY_PERCENT_TAG, SHADOW: SHADOW_PERCENT_TAG}


def arm_status(
    client: MlflowClient, model: str, aliases: Mapping[str, str], now: datetime
) -> list[dict[str, Any]]:
    """Return for the canary and for the shadow what they are, and where their rollout is."""
    return [
        _describe(read_state(client, model, aliases[arm]), arm, now)
        for arm in _TAGS
        if arm in aliases
    ]


def _describe(state: RolloutState, arm: str, now: datetime) -> dict[str, Any]:
    percent = state.tags.get(_TAGS[arm])
    about = {"arm": arm, "version": state.version, "percent": percent, "state": state.word or None}
    if state.step is None or state.step.alias != arm:
        share = f"{percent} %" if percent else "the default share"
        by_hand = f"gets {share}, set by hand" if not state.word else f"is {state.word}"
        return {**about, "says": f"{by_hand}{': ' if state.reason else ''}{state.reason}"}
    look = take_look(state, state.step, now)
    return {**look.as_document(), **about, "says": look.sentence}
