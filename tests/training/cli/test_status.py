"""`cloche status` as a person and as a script see it."""

import json

from click.testing import CliRunner

from cloche.training.cli.status import status


def run(*arguments):
    return CliRunner().invoke(status, arguments)


def test_an_empty_registry_says_how_to_begin(client):
    shown = run()
    assert shown.exit_code == 0
    assert "holds no models yet. Train one: cloche train flights" in shown.stdout
    assert json.loads(run("--json").stdout) == {"models": []}


def test_all_models_are_shown_with_aliases_and_scores(client, log_version):
    log_version()
    log_version("churn", by_cloche=False, challenger=False)
    shown = run().stdout
    assert shown.index("churn") < shown.index("flight-delay")
    line = next(line for line in shown.splitlines() if "challenger" in line)
    assert line.split()[:6] == ["1", "challenger", "·", "roc_auc", "0.7500", "sklearn"]


def test_more_than_a_few_models_are_a_line_each(client):
    for name in "abcd":
        client.create_registered_model(name)
        for _ in range(3):
            client.create_model_version(name, "file:///nowhere")
    client.set_registered_model_alias("b", "production", "1")
    client.set_model_version_tag("b", "1", "cloche.promoted_by", "ana")
    shown = run().stdout
    assert "4 models; cloche status MODEL shows the versions of one" in shown
    line = next(line for line in shown.splitlines() if line.split()[:1] == ["b"])
    assert line.split() == ["b", "1", "·", "·", "ana", "·", "3"]
    told = {one["name"]: one for one in json.loads(run("--json").stdout)["models"]}
    assert [one["version"] for one in told["b"]["versions"]] == ["3", "1"]
    assert told["b"]["more"] is None


def test_a_script_gets_one_document(client, log_version):
    log_version()
    [model] = json.loads(run("flight-delay", "--json").stdout)["models"]
    assert model["aliases"] == {"challenger": "1"}
    assert model["versions"][0]["score"] == 0.75
    assert model["versions"][0]["created_at"].endswith("+00:00")


def test_older_versions_are_counted(client):
    client.create_registered_model("flight-delay")
    for _ in range(3):
        client.create_model_version("flight-delay", "file:///nowhere")
    assert "2 older versions are not shown" in run("--versions", "1").stdout


def test_the_versions_beside_production_are_shown_with_what_they_get(client):
    client.create_registered_model("flight-delay")
    for _ in range(2):
        client.create_model_version("flight-delay", "file:///nowhere")
    client.set_registered_model_alias("flight-delay", "canary", "1")
    client.set_registered_model_alias("flight-delay", "shadow", "2")
    step = {"percent": 10, "since": "2026-03-01T12:00:00+00:00", "production": "3"}
    for version, key, value in (
        ("1", "canary_percent", "10"), ("1", "rollout", "holding: no step for 24 hours"),
        ("1", "rollout_step", json.dumps(step)),
        ("2", "rollout", "aborted: it failed"),
    ):  # fmt: skip
        client.set_model_version_tag("flight-delay", version, f"cloche.{key}", value)
    shown = run("flight-delay").stdout
    assert "canary: version 1 holding, 10 % of the callers, step 2 of 4: canary 0 of 0" in shown
    assert "shadow: version 2 is aborted: it failed" in shown
    [model] = json.loads(run("flight-delay", "--json").stdout)["models"]
    assert [arm["percent"] for arm in model["arms"]] == ["10", None]

    client.delete_model_version_tag("flight-delay", "1", "cloche.rollout_step")
    client.delete_model_version_tag("flight-delay", "1", "cloche.rollout")
    assert "canary: version 1 gets 10 %, set by hand" in run().stdout
    for name in "abc":
        client.create_registered_model(name)
    assert "canary of flight-delay: version 1 gets 10 %, set by hand" in run().stdout
