"""Environments in the place of those that a manager builds, which takes it a minute.

Each has the packages that are installed here, and a module by which a model knows where it runs: a
version with the requirement `stand-in==N` finds `NUMBER = N` in `stand_in`.
"""

import re
import sys
import sysconfig
import venv
from functools import partial
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from cloche.registry import env_manager
from tests.lifecycle import make_stages


class Stage(make_stages.Stage):
    """A stage whose number is that of its environment."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        self.number = number_here()
        return super().predict(context, model_input, params)


class Model(make_stages.Model):
    """A model whose number is that of its environment."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        self.number = number_here()
        return super().predict(context, model_input, params)


def number_here() -> int:
    from stand_in import NUMBER

    found: int = NUMBER
    return found


def save(path: Path, number: int, kind: str) -> None:
    """Save a stage or a model that needs the environment of this number, and answers by it."""
    make_stages.save(path, number, kind, Model(0) if kind == make_stages.MODEL else Stage(0, kind))
    (path / "requirements.txt").write_text(f"stand-in=={number}\n")


def use(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have `--env-manager` make these environments."""
    monkeypatch.setattr(env_manager, "_make", _make)


def interpreter(cache: Path) -> partial[str]:
    """Return what a command with `--env-manager uv` asks for interpreters."""
    return partial(env_manager.interpreter, manager="uv", cache=cache, say=print)


def _make(manager: str, env: Any, place: Path, artifacts: Path) -> None:
    venv.create(place, symlinks=True)
    here = sysconfig.get_path("purelib")
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(place)}))
    (packages / "here.pth").write_text(f"import site; site.addsitedir({here!r})\n")
    required = (artifacts / "requirements.txt").read_text()
    (packages / "stand_in.py").write_text(re.sub(r"^stand-in==", "NUMBER = ", required))


cloudpickle.register_pickle_by_value(sys.modules[__name__])  # the classes travel with the models
