"""What is refused before Spark starts, and when it need not start at all."""

import re
import sys

import pytest

from cloche.serving.batch.spark.engine import SparkEngine
from cloche.serving.batch.spark.session import _builder, session
from cloche.serving.errors import SettingsError


def test_a_missing_pyspark_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    with pytest.raises(SettingsError, match=r"pip install 'cloche\[spark\]'"), session(None, "job"):
        pass


def test_a_missing_java_is_named_with_the_command_that_installs_it(monkeypatch, tmp_path):
    pytest.importorskip("pyspark", reason="pip install 'cloche[spark]'")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(SettingsError) as refusal, session(None, "job"):
        pass
    assert "apt-get install openjdk" in str(refusal.value)
    variable = re.search(r"or name its folder in (\w+)\.$", str(refusal.value))[1]
    java = tmp_path / "jdk" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.touch(0o755)
    monkeypatch.setenv(variable, str(tmp_path / "jdk"))
    assert _builder("job")


def test_spark_is_not_started_when_nothing_is_left_to_score(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    assert list(SparkEngine("spark://127.0.0.1:1").run(None, iter(()), tmp_path)) == []
