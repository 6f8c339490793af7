"""Whether a batch job may have the environment that it asks for."""

import importlib.util
import shutil

import pytest
from click.testing import CliRunner

from cloche.serving.cli.score import score
from cloche.serving.errors import SettingsError

JOB = ("models:/m/1", "rows.csv", "out/", "--env-manager", "uv")


def test_executors_of_spark_get_no_environment_that_is_built_here() -> None:
    with pytest.raises(
        SettingsError, match="for the executors, whose interpreter PYSPARK_PYTHON names"
    ):
        CliRunner().invoke(score, [*JOB, "--engine", "spark"], catch_exceptions=False)


def test_a_manager_that_is_not_installed_is_told_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(SettingsError, match="pip install uv"):
        CliRunner().invoke(score, JOB, catch_exceptions=False)
