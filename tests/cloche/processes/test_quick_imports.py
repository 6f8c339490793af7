"""Imports take less time, and leave modules and garbage collection as they would be."""

import gc
import sys
from pathlib import Path

import pytest
from sklearn.utils import all_estimators

from cloche.processes.quick_imports import without_array_libraries, without_collection

WRAPPER = "sklearn.externals.array_api_compat.torch"


def test_nothing_is_collected_while_modules_are_imported():
    with without_collection():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_garbage_is_collected_again_after_a_failed_import():
    with pytest.raises(ImportError), without_collection():
        raise ImportError
    assert gc.isenabled()


def test_a_list_of_all_estimators_imports_no_pytorch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch.py").write_text("")  # found before one that is installed
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("torch", WRAPPER):
        monkeypatch.delitem(sys.modules, name, raising=False)

    with without_array_libraries():
        found = [name for name, _ in all_estimators()]

    assert "LogisticRegression" in found
    assert not {"torch", WRAPPER} & sys.modules.keys()
