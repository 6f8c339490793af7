"""What the registry says, for models of Cloche and of everybody else."""

from dataclasses import asdict

from cloche.training.promotion.status import status


def one(client, **options):
    [version] = status(client, "flight-delay", most=10, **options).versions
    return version


def test_a_version_by_cloche_that_nobody_judged_shows_the_score_of_its_training(
    client, log_version
):
    log_version()
    version = one(client)
    assert (version.aliases, version.gate, version.promoted_at) == (("challenger",), None, None)
    assert (version.metric, version.score, version.flavor) == ("roc_auc", 0.75, "sklearn")


def test_a_promoted_version_shows_its_trail_and_the_score_of_its_evidence(
    client, log_version, mark_promoted
):
    mark_promoted(log_version(), "production")
    evidence = client.create_run("0", tags={"cloche.metric": "f1"}).info.run_id
    client.log_metric(evidence, "candidate/f1", 0.5)
    client.set_model_version_tag("flight-delay", "1", "cloche.gate_run_id", evidence)
    client.set_model_version_tag("flight-delay", "1", "cloche.promoted_by", "ana")
    version = one(client)
    assert version.aliases == ("challenger", "production")
    assert (version.gate, version.promoted_by, version.digest) == ("passed", "ana", "d" * 64)
    assert (version.metric, version.score) == ("f1", 0.5)


def test_a_model_of_a_stranger_has_what_mlflow_knows(client, log_version):
    log_version(by_cloche=False)
    version = one(client)
    assert (version.flavor, version.metric, version.score) == ("sklearn", None, None)


def test_artifacts_runs_and_policies_that_cannot_be_read_are_left_out(client, log_version):
    client.create_registered_model("flight-delay")
    client.create_model_version("flight-delay", "file:///nowhere", "0" * 32)
    lost = one(client)
    assert (lost.flavor, lost.score) == (None, None)


def test_old_versions_are_counted_and_those_with_an_alias_always_shown(client, log_version):
    client.create_registered_model("flight-delay")
    for _ in range(4):
        client.create_model_version("flight-delay", "file:///nowhere")
    client.set_registered_model_alias("flight-delay", "previous", "1")
    found = status(client, "flight-delay", most=2)
    assert [version.version for version in found.versions] == ["4", "3", "1"]
    assert found.more == 1
    assert asdict(found)["aliases"] == {"previous": "1"}
