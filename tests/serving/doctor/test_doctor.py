"""Set-ups that are broken in one way each, and what the doctor says of them."""

import contextlib
import importlib.metadata
import json
import re
import resource
import shlex
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import alembic.command
import pytest
from alembic.script import ScriptDirectory
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from mlflow.entities.webhook import WebhookAction, WebhookEntity, WebhookEvent
from mlflow.store.db import utils
from mlflow.store.tracking.dbmodels.initial_models import Base as InitialBase
from packaging.requirements import Requirement

from cloche.main import cloche
from cloche.serving.doctor import machine
from cloche.serving.registry.bundle_note import Note
from cloche.serving.settings import Settings
from cloche.training.errors import TwinRefused
from tests import warm
from tests.clouds.aws import REGION, moto
from tests.lifecycle.registry import Registry
from tests.shell import environment, free_port
from tests.stores import stores

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("doctor")]

URI = "models:/m@production"
HUSHED = "what nobody may read"


class Setup:
    """What `cloche doctor` is run with: all is well until a test breaks it."""

    def __init__(self, folder: Path, registry: Registry, made: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.made = made
        self.registry = registry
        self.stack = stack
        self.port = free_port()
        self.options = {"--port": str(self.port), "--cache-dir": str(folder / "cache")}
        self.arguments = [URI]
        self.variables = {"MLFLOW_TRACKING_URI": registry.uri, "CLOCHE_API_KEYS": HUSHED}

    @property
    def words(self) -> list[str]:
        options = [word for pair in self.options.items() for word in pair]
        return ["doctor", *self.arguments, *options]

    def findings(self) -> tuple[int, list[dict[str, Any]]]:
        """What it says: in this process, because each start would import MLflow anew."""
        done = CliRunner().invoke(
            cloche, [*self.words, "--json"], env=self.variables, standalone_mode=False
        )
        assert HUSHED not in done.output
        return done.return_value, json.loads(done.stdout)["findings"]

    def told(self) -> subprocess.CompletedProcess[str]:
        """What a person sees who runs it."""
        return subprocess.run(
            [warm.python(), "-m", "cloche", *self.words], cwd=self.folder,
            env=environment() | self.variables, capture_output=True, text=True, check=False,
        )  # fmt: skip


@pytest.fixture(scope="module")
def made_models(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """A registry with a version of `m` in production, to copy."""
    registry = Registry(tmp_path_factory.mktemp("made_models"))
    registry.register("")
    registry.promote("1")
    return registry


@pytest.fixture
def setup(
    made_models: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Setup]:
    monkeypatch.chdir(tmp_path)
    shutil.copy(made_models.database, tmp_path)
    with stores(), ExitStack() as stack:
        yield Setup(tmp_path, Registry(tmp_path), made_models.directory, stack)


def listens_already(setup: Setup) -> None:
    """And something else on the next port."""
    for port in (setup.port, setup.port + 1):
        with contextlib.suppress(OSError):
            setup.stack.enter_context(socket.create_server(("127.0.0.1", port)))


def no_server_answers(setup: Setup) -> None:
    setup.variables["MLFLOW_TRACKING_URI"] = f"http://127.0.0.1:{free_port()}"


def a_database_that_is_away(setup: Setup) -> None:
    setup.variables["MLFLOW_TRACKING_URI"] = (
        f"postgresql+psycopg://mlflow:{HUSHED.replace(' ', '-')}@127.0.0.1:{free_port()}/mlflow"
    )


def no_driver(setup: Setup) -> None:
    setup.variables["MLFLOW_TRACKING_URI"] = "postgresql+pg8000://mlflow@127.0.0.1/mlflow"


def another_directory(setup: Setup) -> None:
    setup.variables["MLFLOW_TRACKING_URI"] = "sqlite:///elsewhere.db"


def old_tables(setup: Setup) -> None:
    with closing(sqlite3.connect(setup.registry.database)) as database:
        database.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
        database.commit()


def locked(setup: Setup) -> None:
    program = "import sqlite3, sys; d = sqlite3.connect(sys.argv[1]); d.execute('BEGIN EXCLUSIVE')"
    program += "; print(flush=True); sys.stdin.read()"
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(setup.registry.database)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    setup.stack.enter_context(holder)
    setup.stack.callback(holder.kill)
    holder.stdout.readline()


def no_database(setup: Setup) -> None:
    setup.registry.database.write_text("<html>502 Bad Gateway</html>" * 100)


def no_alias(setup: Setup) -> None:
    setup.registry.client.delete_registered_model_alias("m", "production")


def a_typing_error(setup: Setup) -> None:
    setup.arguments = ["models:/n@production"]


def artifacts_at(setup: Setup, place: str) -> None:
    """Have the registry say that the version's artifacts are there."""
    with closing(sqlite3.connect(setup.registry.database)) as database:
        database.execute(
            "UPDATE model_versions SET source = ?, storage_location = ?", (place, place)
        )
        database.commit()


def no_artifacts(setup: Setup) -> None:
    artifacts_at(setup, str(setup.folder / "gone"))


def no_package_for_s3(setup: Setup) -> None:
    artifacts_at(setup, "s3://models/m")
    setup.stack.enter_context(patch.dict(sys.modules, {"boto3": None}))


def driver_without_a_name(setup: Setup) -> None:
    setup.variables["MLFLOW_TRACKING_URI"] = "postgresql+psycopg://mlflow@127.0.0.1/mlflow"
    setup.stack.enter_context(patch.dict(sys.modules, {"psycopg": None}))


def no_keys_for_s3(setup: Setup) -> None:
    artifacts_at(setup, "s3://models/m")
    setup.variables |= {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_CONFIG_FILE": "/dev/null",
    }


def other_requirements(setup: Setup) -> None:
    place = setup.folder / "artifacts"
    shutil.copytree(setup.made / "artifacts" / "m" / "1", place)
    (place / "requirements.txt").write_text("numpy==1.0\n")
    (place / "python_env.yaml").write_text("python: 3.9.1\n")
    artifacts_at(setup, str(place))


def no_twin(setup: Setup) -> None:
    for tag, value in (("cloche.accelerated", "onnx"), ("cloche.accelerated_digest", "0" * 64)):
        setup.registry.client.set_model_version_tag("m", "1", tag, value)


def no_twin_of_a_folder(setup: Setup) -> None:
    place = setup.folder / "baked"
    shutil.copytree(setup.made / "artifacts" / "m" / "1", place)
    Note("m", "1", "", "0" * 64).write(place)
    setup.arguments = [str(place)]


def nothing_to_serve(setup: Setup) -> None:
    no_alias(setup)
    setup.arguments = ["--all"]


def cache_is_a_file(setup: Setup) -> None:
    (setup.folder / "file").write_text("")
    setup.options["--cache-dir"] = str(setup.folder / "file" / "cache")


def tls_without_key(setup: Setup) -> None:
    setup.options["--tls-certificate"] = _pem(setup, days=90)


def certificate_ended(setup: Setup) -> None:
    setup.options |= {"--tls-certificate": _pem(setup, days=-1), "--tls-key": _key(setup)}


def certificate_ends_soon(setup: Setup) -> None:
    setup.options |= {"--tls-certificate": _pem(setup, days=3), "--tls-key": _key(setup)}


def keys_for_everybody(setup: Setup) -> None:
    keys = setup.folder / "the keys"
    keys.write_text(HUSHED)
    keys.chmod(0o644)
    setup.options["--api-keys-file"] = str(keys)


def no_keys_for_the_world(setup: Setup) -> None:
    setup.options["--host"] = "0.0.0.0"  # noqa: S104
    del setup.variables["CLOCHE_API_KEYS"]


def few_files(setup: Setup) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, before[1]))
    setup.stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, before)


def text_in_latin_1(setup: Setup) -> None:
    setup.stack.enter_context(patch("locale.getpreferredencoding", lambda _: "ISO-8859-1"))


def nobody_pushes(setup: Setup) -> None:
    setup.variables["CLOCHE_WEBHOOK_SECRET"] = HUSHED


def two_of_one_name(setup: Setup) -> None:
    setup.arguments = [URI, "models:/m/1"]


def _key(setup: Setup) -> str:
    return str(setup.folder / "key.pem")


def _pem(setup: Setup, days: int) -> str:
    """A certificate that is good for so many days, or was until so many ago."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    made = x509.CertificateBuilder(
        name, name, key.public_key(), 1, now - timedelta(days=9), now + timedelta(days=days)
    ).sign(key, hashes.SHA256())  # fmt: skip
    Path(_key(setup)).write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    Path(_key(setup)).chmod(0o600)
    file = setup.folder / "certificate.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return str(file)


# How what is advised is carried out. Each takes the set-up and the text.


def types_it(setup: Setup, text: str) -> None:
    """The command up to the first word that is not part of it."""
    command = re.search(r"chmod \d+ (?:'[^']+'|\S+)|kill \d+|openssl .*; chmod \d+ \w+", text)[0]
    subprocess.run(command, shell=True, check=True, cwd=setup.folder)  # noqa: S602


def accelerates_it(setup: Setup, text: str) -> None:
    """Without the proof, which says that there is no twin of such a model: it loses the tag."""
    words = shlex.split(re.search(r"cloche (accelerate .*)$", text)[1])
    rows = setup.folder / "rows.csv"
    rows.write_text("a\n1\n")
    refused = patch("cloche.training.accelerate.twin_of", side_effect=TwinRefused("by its flavor"))
    with refused:
        done = CliRunner().invoke(cloche, [*words, "--data", str(rows)], env=setup.variables)
    assert isinstance(done.exception, TwinRefused), (done.output, done.exception)


def gives_the_flag(setup: Setup, text: str) -> None:
    setup.arguments.append(re.search(r"serve it with (--\S+),", text)[1])


def gives_the_option(setup: Setup, text: str) -> None:
    option, value = re.findall(r"(--port|--max-connections|--env-manager) (\w+)", text)[-1]
    setup.options[option] = value


def names_another_store(setup: Setup, text: str) -> None:
    assert "MLFLOW_TRACKING_URI" in text
    good = setup.folder / "good.db"
    shutil.copy(setup.made / "mlflow.db", good)
    setup.variables["MLFLOW_TRACKING_URI"] = f"sqlite:///{good}"


def chooses_another_cache(setup: Setup, text: str) -> None:
    setup.options["--cache-dir"] = str(setup.folder / "another")


def restores_the_folder(setup: Setup, text: str) -> None:
    place = Path(re.search(r"restore what was at (\S+),", text)[1])
    shutil.copytree(setup.made / "artifacts" / "m" / "1", place)


def promotes(setup: Setup, text: str) -> None:
    """By what `cloche promote` does in the end: this version has no policy to be judged by."""
    assert "cloche promote" in text
    assert "cloche status" in text
    setup.registry.promote("1")


def takes_a_name_that_is_there(setup: Setup, text: str) -> None:
    listed = CliRunner().invoke(cloche, ["status"], env=setup.variables).stdout
    assert "cloche status" in text
    assert listed.split()[0] == "m"
    setup.arguments = [URI]


def installs_it(setup: Setup, text: str) -> None:
    """Not for real: the package that is named has the module that is missing."""
    module = re.search(r"needs? (\w+)", text)[1]
    package = re.search(r"pip install '?([\w[\]-]+)", text)[1]
    if extra := re.fullmatch(r"cloche\[(\w+)\]", package):
        required = map(Requirement, importlib.metadata.requires("cloche"))
        packages = {one.name for one in required if one.marker and
                    one.marker.evaluate({"extra": extra[1]})}  # fmt: skip
    else:
        packages = {package}
    known = importlib.metadata.packages_distributions().get(module, [module])
    assert packages & set(known)
    setup.stack.close()
    setup.variables["MLFLOW_TRACKING_URI"] = setup.registry.uri
    shutil.copy(setup.made / "mlflow.db", setup.registry.database)


def gives_both(setup: Setup, text: str) -> None:
    setup.options |= {"--tls-certificate": _pem(setup, days=90), "--tls-key": _key(setup)}


def gives_the_keys(setup: Setup, text: str) -> None:
    types_it(setup, text)
    setup.options["--api-keys-file"] = str(setup.folder / "keys")
    assert "--api-keys-file keys" in text


def makes_the_webhook(setup: Setup, text: str) -> None:
    assert "create_webhook" in text
    event = WebhookEvent(WebhookEntity.MODEL_VERSION_ALIAS, WebhookAction.CREATED)
    url = "https://8.8.8.8/webhooks/registry"
    setup.registry.client.create_webhook("w", url, [event], secret=HUSHED)


def gives_one_a_name(setup: Setup, text: str) -> None:
    setup.arguments = [URI, re.search(r"NAME=\S+", text)[0]]


# fault → what mends it; other tests do where it is not here, or nobody but the user can
MENDS = {
    listens_already: gives_the_option,
    no_server_answers: names_another_store,
    a_database_that_is_away: names_another_store,
    no_driver: installs_it,
    another_directory: names_another_store,
    locked: types_it,
    no_database: names_another_store,
    no_alias: promotes,
    a_typing_error: takes_a_name_that_is_there,
    no_artifacts: restores_the_folder,
    no_package_for_s3: installs_it,
    other_requirements: gives_the_option,
    cache_is_a_file: chooses_another_cache,
    tls_without_key: gives_both,
    certificate_ended: gives_both,
    certificate_ends_soon: gives_both,
    keys_for_everybody: types_it,
    no_keys_for_the_world: gives_the_keys,
    few_files: gives_the_option,
    nobody_pushes: makes_the_webhook,
    two_of_one_name: gives_one_a_name,
    driver_without_a_name: installs_it,
    no_twin: accelerates_it,
    no_twin_of_a_folder: gives_the_flag,
    nothing_to_serve: promotes,
}


@pytest.mark.parametrize(
    ("break_it", "found", "says", "fix"),
    [
        (listens_already, ("fail", "port"), "(pid ", "--port "),
        (no_server_answers, ("fail", "tracking"), "Connection refused", "MLFLOW_TRACKING_URI"),
        (a_database_that_is_away, ("fail", "tracking"), "mlflow:***@", "MLFLOW_TRACKING_URI"),
        (no_driver, ("fail", "tracking"), "needs pg8000", "pip install pg8000"),
        (driver_without_a_name, ("fail", "tracking"), "needs psycopg", "cloche[postgres]"),
        (another_directory, ("warn", "tracking"), "not there yet", "export MLFLOW_TRACKING_URI"),
        (old_tables, ("fail", "tracking"), "tables of another MLflow", "mlflow db upgrade"),
        (locked, ("fail", "tracking"), "(pid ", "kill "),
        (no_database, ("fail", "tracking"), "not a database", "MLFLOW_TRACKING_URI"),
        (no_alias, ("fail", URI), "no version stands behind it", "cloche promote"),
        (a_typing_error, ("fail", "models:/n@production"), "no version", "cloche promote"),
        (no_artifacts, ("fail", "artifacts"), "cannot be read", "restore what was at"),
        (no_package_for_s3, ("fail", "artifacts"), "need boto3", "pip install 'cloche[aws]'"),
        (no_keys_for_s3, ("fail", "artifacts"), "credentials", "AWS_ACCESS_KEY_ID"),
        (other_requirements, ("warn", "environment"), "Python 3.9 (", "--env-manager uv"),
        (no_twin, ("warn", "twin"), "not beside the model", "cloche accelerate m --version 1"),
        (no_twin_of_a_folder, ("warn", "twin"), "not beside the model", "--no-acceleration"),
        (nothing_to_serve, ("warn", "models"), "has the alias production", "cloche promote"),
        (cache_is_a_file, ("fail", "cache"), "--cache-dir", "Choose another"),
        (tls_without_key, ("fail", "options"), "TLS needs both", "--tls-key"),
        (certificate_ended, ("fail", "certificate"), "ended on", "renew it"),
        (certificate_ends_soon, ("warn", "certificate"), "is good until", "renew it"),
        (keys_for_everybody, ("warn", "--api-keys-file"), "read by others (mode 644)", "chmod 600"),
        (no_keys_for_the_world, ("warn", "API keys"), "everybody", "--api-keys-file"),
        (few_files, ("warn", "open files"), "1024 may be open", "ulimit -n 4352"),
        (text_in_latin_1, ("warn", "locale"), "as ISO-8859-1", "LC_ALL=C.UTF-8"),
        (nobody_pushes, ("warn", "webhook"), "only polls", "create_webhook"),
        (two_of_one_name, ("fail", "models"), "another model is served", "NAME="),
    ],
)  # fmt: skip
def test_what_is_broken_is_found_and_explained_and_the_advice_mends_it(
    setup, break_it, found, says, fix
):
    break_it(setup)

    code, findings = setup.findings()

    (one,) = [one for one in findings if one["state"] != "ok"]
    assert (one["state"], one["check"]) == found
    assert says in one["says"]
    assert fix in f"{one['says']} {one['fix']}"
    assert code == (1 if one["state"] == "fail" else 0)

    if break_it in MENDS:
        MENDS[break_it](setup, f"{one['says']} {one['fix']}")
        left = [again for again in setup.findings()[1] if again["state"] != "ok"]
        assert found not in {(again["state"], again["check"]) for again in left}


def test_a_set_up_that_works_is_told_to_work(setup: Setup):
    done = setup.told()

    assert done.returncode == 0, done.stdout
    assert {line.split()[0] for line in done.stdout.splitlines()} == {"ok"}
    assert f"{URI}: is version 1" in done.stdout


def test_an_examination_makes_no_registry(setup: Setup):
    another_directory(setup)
    setup.findings()

    assert not (setup.folder / "elsewhere.db").exists()


@pytest.mark.parametrize(("free", "state"), [(1 << 20, "fail"), (1 << 30, "warn"), (8 << 30, "ok")])
def test_a_full_disk_is_told_before_it_is_full(tmp_path, monkeypatch, free, state):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    settings = Settings(models=(URI,), cache_directory=tmp_path / "not" / "yet")

    assert {one.state for one in machine.disk(settings)} == {state}


@pytest.mark.parametrize("check", ["disk for cache", "disk for temporary files"])
def test_another_disk_that_is_named_has_room(check, tmp_path, monkeypatch):
    (tmp_path / "roomy").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def found(**options):
        settings = Settings(models=(URI,), **{"cache_directory": tmp_path / "cache", **options})
        return next(one for one in machine.disk(settings) if one.check == check)

    def free(place):
        return SimpleNamespace(free=(place == tmp_path / "roomy") * (9 << 30))

    monkeypatch.setattr(shutil, "disk_usage", free)
    advised = re.search(r"use another disk by (?:--)?([\w-]+)[ =]DIR$", found().fix)[1]
    if advised == "cache-dir":
        assert found(cache_directory=tmp_path / "roomy").state == "ok"
    else:
        monkeypatch.setenv(advised, str(tmp_path / "roomy"))
        monkeypatch.setattr(tempfile, "tempdir", None)  # as in a process that starts then
        assert found().state == "ok"


@pytest.mark.breadth
def test_old_tables_are_upgraded_by_the_command_that_is_told(setup: Setup):
    file = setup.folder / "old.db"
    setup.variables["MLFLOW_TRACKING_URI"] = uri = f"sqlite:///{file}"
    config = utils._get_alembic_config(uri)
    _, before = list(ScriptDirectory.from_config(config).walk_revisions())[:2]
    InitialBase.metadata.create_all(utils.create_sqlalchemy_engine(uri))
    alembic.command.upgrade(config, before.revision)

    tracking = next(one for one in setup.findings()[1] if one["check"] == "tracking")
    assert tracking["state"] == "fail"
    command = re.search(r"mlflow db upgrade \S+\"", tracking["fix"])[0]
    variables = environment() | setup.variables
    subprocess.run(command, shell=True, check=True, env=variables, capture_output=True)  # noqa: S602

    tracking = next(one for one in setup.findings()[1] if one["check"] == "tracking")
    assert tracking["state"] == "ok"


@pytest.mark.breadth
def test_artifacts_in_a_store_are_read_with_the_keys_that_are_asked_for(setup: Setup):
    no_keys_for_s3(setup)
    with moto() as aws:
        client = aws.client("s3")
        client.create_bucket(
            Bucket="models", CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        made = setup.made / "artifacts" / "m" / "1"
        for file in made.rglob("*"):
            if file.is_file():
                client.upload_file(str(file), "models", f"m/{file.relative_to(made)}")
        (one,) = [one for one in setup.findings()[1] if one["state"] != "ok"]
        names = re.findall(r"(AWS_\w+)", one["fix"])
        setup.variables |= {name: aws.variables[name] for name in names}

        done = setup.told()  # in this process MLflow keeps the client without keys
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("advice", ["LC_ALL=C.UTF-8", "PYTHONUTF8=1"])
def test_text_is_read_as_utf_8_after_the_variable_that_is_told(advice):
    look = (
        "from cloche.serving.doctor.machine import text; (one,) = text(None);"
        "print(one.state, one.fix)"
    )
    plain = environment() | {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    name, _, value = advice.partition("=")

    def looked(variables):
        command = [sys.executable, "-c", look]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
        return done.stdout

    told = looked(plain)
    assert told.startswith("warn")
    assert advice in told
    assert looked(plain | {name: value}).startswith("ok")
