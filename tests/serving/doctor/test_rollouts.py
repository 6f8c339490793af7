"""What the doctor says of a canary and a shadow, by their tags."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from cloche.registry.lease import Lease
from cloche.serving.doctor import rollouts
from cloche.serving.registry.uri import parse

NOW = datetime.now(UTC)
DRIVEN = Lease("t", "ana", NOW, NOW + timedelta(hours=1)).to_text()
LEFT = Lease("t", "ana", NOW, NOW - timedelta(minutes=1)).to_text()


@pytest.mark.parametrize(
    ("arm", "tags", "state", "words"),
    [
        ("canary", {}, "ok", "is version 2"),
        ("canary", {"cloche.canary_percent": "many"}, "fail", "is 'many', no number from 0 to 100"),
        ("shadow", {"cloche.shadow_percent": "60"}, "fail", "no number from 0 to 50"),
        ("canary", {"cloche.rollout": "aborted: it failed"}, "warn", "no requests: aborted: it f"),
        ("shadow", {"cloche.rollout": "aborted: it failed"}, "ok", "is version 2"),
        ("canary", {"cloche.rollout": "running: x"}, "warn", "nobody drives it"),
        ("shadow", {"cloche.rollout": "holding: x", "cloche.rollout_driver": LEFT}, "warn", "body"),
        ("canary", {"cloche.rollout": "running: x", "cloche.rollout_driver": DRIVEN}, "ok", "2"),
        ("canary", {"cloche.rollout": "paused: lunch"}, "ok", "is version 2"),
    ],
)
def test_an_arm_is_checked_by_its_tags(monkeypatch, arm, tags, state, words):
    client = SimpleNamespace(
        get_registered_model=lambda _: SimpleNamespace(aliases={"production": "1", arm: "2"}),
        get_model_version=lambda _, version: SimpleNamespace(tags=tags if version == "2" else {}),
    )
    monkeypatch.setattr(rollouts, "MlflowClient", lambda: client)
    [result] = rollouts.check_rollouts([parse("models:/m@production"), parse("models:/m@previous")])
    assert (result.check, str(result.state)) == (f"{arm} of m", state)
    assert words in result.says
