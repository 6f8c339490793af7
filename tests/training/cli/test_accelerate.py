"""`cloche accelerate` as a person and as a script see it."""

import json

from click.testing import CliRunner

from cloche.training.acceleration.proof.equivalence import Proof
from cloche.training.acceleration.proof.stored_twin import ProvenTwin
from cloche.training.cli.accelerate import accelerate


def run(*arguments):
    return CliRunner().invoke(accelerate, ["flight-delay", *arguments])


def test_it_says_what_was_compared_and_a_script_gets_json(log_version, monkeypatch):
    log_version()
    twin = ProvenTwin(b"", {}, Proof(rows=600))
    monkeypatch.setattr(
        "cloche.training.accelerate_version.make_twin_in_process", lambda *_, **__: twin
    )

    said = run().stdout
    document = json.loads(run("--version", "1", "--json").stdout)

    assert "flight-delay version 1 has an accelerated twin: on 600 rows and " in said
    assert said.endswith("its labels on none.\n")
    assert (document["model"], document["version"]) == ("flight-delay", "1")
    assert document["proof"]["rows"] == 600
