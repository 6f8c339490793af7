"""What is refused before Spark starts, and when it need not start at all."""

import sys

import pytest

from cloche.serving.batch.spark.engine import SparkEngine
from cloche.serving.batch.spark.session import session
from cloche.serving.errors import SettingsError


def test_a_missing_pyspark_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    with pytest.raises(SettingsError, match=r"pip install 'cloche\[spark\]'"), session(None, "job"):
        pass


def test_a_missing_java_is_named_with_the_command_that_installs_it(monkeypatch, tmp_path):
    pytest.importorskip("pyspark", reason="pip install 'cloche[spark]'")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(SettingsError, match="apt-get install openjdk"), session(None, "job"):
        pass


def test_spark_is_not_started_when_nothing_is_left_to_score(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    assert list(SparkEngine("spark://127.0.0.1:1").run(None, iter(()), tmp_path)) == []
