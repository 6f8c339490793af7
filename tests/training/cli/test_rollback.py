"""`cloche rollback` as a person and as a script see it."""

import json

import pytest
from click.testing import CliRunner

from cloche.training.cli.rollback import rollback


@pytest.fixture
def two(client):
    """Version 1 served before version 2; both were promoted."""
    client.create_registered_model("flight-delay")
    for number, alias in (("1", "previous"), ("2", "production")):
        client.create_model_version("flight-delay", "file:///nowhere")
        client.set_registered_model_alias("flight-delay", alias, number)
        for key in ("cloche.promoted_at", "cloche.digest"):
            client.set_model_version_tag("flight-delay", number, key, "known")


def run(*arguments):
    return CliRunner().invoke(rollback, ["flight-delay", *arguments])


def test_it_says_what_serves_again_and_where_the_other_one_went(two):
    assert run("--reason", "slow").stdout == (
        "flight-delay version 1 is in production again.\n"
        "Version 2, which served until now, is `previous`.\n"
    )


def test_a_script_gets_json(two):
    assert json.loads(run("--to", "1", "--json").stdout) == {
        "model": "flight-delay", "version": "1", "replaced": "2", "stages": None,
    }  # fmt: skip
