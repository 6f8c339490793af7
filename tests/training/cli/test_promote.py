"""`cloche promote` as a person and as a script see it."""

import json

import pytest
from click.testing import CliRunner

from cloche.training.cli.promote import promote
from cloche.training.promotion.promote import PromotionRefusal
from cloche.training.promotion.registry import find_model

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("forked_programs")]


def run(*arguments):
    return CliRunner().invoke(promote, ["flight-delay", *arguments])


def test_a_first_promotion_from_dry_run_to_production(client, log_version, tmp_path):
    log_version()
    dry = run("--dry-run", "--report", str(tmp_path / "report.html"))
    assert dry.exit_code == 0
    assert "flight-delay version 1: passed" in dry.stdout
    assert "at least 0.6" in dry.stdout
    assert "This was a dry run: nothing was written." in dry.stdout
    assert "probing flight-delay version 1 on 600 rows" in dry.stderr
    assert "<title>flight-delay version 1: passed</title>" in (tmp_path / "report.html").read_text()
    assert find_model(client, "flight-delay").production is None

    done = run("--json")
    document = json.loads(done.stdout)
    assert [document[key] for key in ("promoted", "outcome", "replaced")] == [True, "passed", None]
    assert client.get_run(document["evidence_run_id"]).info.status == "FINISHED"
    assert find_model(client, "flight-delay").aliases == {"production": "1"}

    again = run("--version", "1")
    assert again.stdout == "flight-delay version 1 is in production already; nothing was judged.\n"
    assert json.loads(run("--version", "1", "--json").stdout)["promoted"] is False


def test_a_refusal_prints_its_table_and_raises_with_the_reasons(client, log_version):
    log_version(error=2.0, gate={"minimum": {"roc_auc": 0.99}})
    refused = run()
    assert isinstance(refused.exception, PromotionRefusal)
    assert "roc_auc is 0." in str(refused.exception)
    assert "✗" in refused.stdout
    assert "Evidence: run" in refused.stdout
    assert client.get_model_version("flight-delay", "1").tags["cloche.gate"] == "refused"

    document = json.loads(run("--json", "--dry-run").stdout)
    assert (document["promoted"], document["outcome"]) == (False, "refused")
    assert document["evidence_run_id"] is None

    forced = run("--force", "--reason", "agreed with operations")
    assert forced.exit_code == 0
    assert "flight-delay version 1: forced" in forced.stdout
    assert "flight-delay version 1 is in production." in forced.stdout
