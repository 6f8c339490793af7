"""Who is at work, as far as the environment tells."""

from datetime import UTC, datetime

import pytest

from cloche.training.promotion.audit import audit_tags, promoter


@pytest.mark.parametrize(
    ("environ", "who"),
    [
        (
            {"GITHUB_ACTIONS": "true", "GITHUB_ACTOR": "ana", "GITHUB_RUN_ID": "7"},
            "ana (GITHUB_ACTIONS 7)",
        ),
        ({"GITLAB_CI": "true", "GITLAB_USER_LOGIN": "bo"}, "bo (GITLAB_CI)"),
        ({"JENKINS_URL": "http://ci"}, "somebody (JENKINS_URL)"),
        ({"MLFLOW_TRACKING_USERNAME": "cy"}, "cy"),
        ({"GITHUB_ACTIONS": "", "MLFLOW_TRACKING_USERNAME": "cy"}, "cy"),
    ],
)
def test_a_ci_job_names_its_person_and_a_server_its_user(environ, who):
    assert promoter(environ) == who


def test_without_any_of_them_it_is_the_user_of_the_machine(monkeypatch):
    monkeypatch.setenv("LOGNAME", "dee")
    assert promoter({}) == "dee"


def test_the_trail_is_in_utc_to_the_second():
    at = datetime(2026, 3, 1, 12, 0, 5, 999, tzinfo=UTC)
    assert audit_tags(at=at, by="ana", reason="better") == {
        "cloche.promoted_at": "2026-03-01T12:00:05+00:00",
        "cloche.promoted_by": "ana",
        "cloche.reason": "better",
    }
