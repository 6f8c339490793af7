"""Whether a batch job may have the environment that it asks for."""

import importlib.util
import shutil

import pytest
from click.testing import CliRunner

from cloche.serving.cli.score import score
from cloche.serving.errors import SettingsError

JOB = ("models:/m/1", "rows.csv", "out/", "--env-manager", "uv")


@pytest.mark.parametrize("engine", ["local", "spark"])
def test_a_manager_that_is_not_installed_is_told_before_anything_starts(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(SettingsError, match="pip install uv"):
        CliRunner().invoke(score, [*JOB, "--engine", engine], catch_exceptions=False)
