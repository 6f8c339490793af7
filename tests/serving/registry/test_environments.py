import importlib.util
import shutil

import pytest

from serving.errors import SettingsError
from serving.registry.environments import tool


@pytest.mark.parametrize("manager", ["uv", "virtualenv"])
def test_a_manager_that_is_not_installed_is_named_with_the_fix(
    monkeypatch: pytest.MonkeyPatch, manager: str
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(SettingsError, match=f"pip install {manager}"):
        tool(manager)
