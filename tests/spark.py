"""What tests of Spark need on the machine."""

import importlib.util
import os
import shutil
from pathlib import Path

import pytest


def needed() -> None:
    """Skip a test that lacks PySpark or Java, and say what installs it; in CI nothing skips."""
    missing = _missing()
    if missing and os.environ.get("CI") != "true":
        pytest.skip(missing)


def _missing() -> str:
    if importlib.util.find_spec("pyspark") is None:
        return "PySpark is not installed: pip install 'cloche[spark]'"
    java = Path(os.environ["JAVA_HOME"]) / "bin/java" if "JAVA_HOME" in os.environ else "java"
    if shutil.which(java) is None:
        return "Java is not installed: apt-get install openjdk-17-jre-headless"
    return ""
