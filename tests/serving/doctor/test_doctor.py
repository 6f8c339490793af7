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
from collections.abc import Callable, Iterator
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
from cloche.serving.doctor import machine, tracking
from cloche.serving.registry.version_note import Note
from cloche.serving.settings import Settings
from cloche.training.errors import TwinRefused
from tests import warm
from tests.broken_servers import Old, answering
from tests.lifecycle import make_stages as made
from tests.lifecycle.registry import Registry
from tests.lifecycle.test_stages import register
from tests.shell import environment, free_port
from tests.stores import stores

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("doctor")]

URI = "models:/m@production"
HUSHED = "what nobody may read"
ELSEWHERE = "sqlite:///elsewhere.db"


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
    registry.register("", promote=True)
    return registry


@pytest.fixture
def setup(
    made_models: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Setup]:
    monkeypatch.chdir(tmp_path)
    shutil.copy(made_models.database, tmp_path)
    with stores(), ExitStack() as stack:
        yield Setup(tmp_path, Registry(tmp_path), made_models.directory, stack)


Break = Callable[[Setup], None]
Mend = Callable[[Setup, str], None]


def store(uri: str) -> Break:
    """Have the tracking store at a URI, in which {port} is a port that nobody listens at."""

    def break_it(setup: Setup) -> None:
        setup.variables["MLFLOW_TRACKING_URI"] = uri.format(port=free_port())

    return break_it


def arguments(*words: str) -> Break:
    return lambda setup: setattr(setup, "arguments", [*words])


def certificate(days: int, *, key: bool = True) -> Break:
    def break_it(setup: Setup) -> None:
        setup.options["--tls-certificate"] = _pem(setup, days)
        if key:
            setup.options["--tls-key"] = _key(setup)

    return break_it


def listens_already(setup: Setup) -> None:
    """And something else on the next port."""
    for port in (setup.port, setup.port + 1):
        with contextlib.suppress(OSError):
            setup.stack.enter_context(socket.create_server(("127.0.0.1", port)))


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


def read_only(setup: Setup) -> None:
    """Also for the superuser, who may write anywhere."""
    setup.registry.database.chmod(0o444)
    real = sqlite3.connect

    def connect(file: Any, *arguments: Any, **options: Any) -> Any:
        if options.get("isolation_level", "") is None and not Path(file).stat().st_mode & 0o200:
            raise sqlite3.OperationalError("attempt to write a readonly database")
        return real(file, *arguments, **options)

    setup.stack.enter_context(patch("sqlite3.connect", connect))


def no_tables(setup: Setup) -> None:
    """A file that somebody else made, in which no training was yet."""
    setup.variables["MLFLOW_TRACKING_URI"] = "sqlite:///fresh.db"
    with closing(sqlite3.connect(setup.folder / "fresh.db")) as database:
        database.execute("CREATE TABLE other (a)")
        database.commit()
    setup.arguments = ["--all"]


def no_database(setup: Setup) -> None:
    setup.registry.database.write_text("<html>502 Bad Gateway</html>" * 100)


def no_alias(setup: Setup) -> None:
    setup.registry.client.delete_registered_model_alias("m", "production")


def artifacts_at(setup: Setup, place: str) -> None:
    """Have the registry say that the version's artifacts are there."""
    with closing(sqlite3.connect(setup.registry.database)) as database:
        database.execute(
            "UPDATE model_versions SET source = ?, storage_location = ?", (place, place)
        )
        database.commit()


def no_package_for_s3(setup: Setup) -> None:
    artifacts_at(setup, "s3://models/m")
    setup.stack.enter_context(patch.dict(sys.modules, {"boto3": None}))


def driver_without_a_name(setup: Setup) -> None:
    store("postgresql+psycopg://mlflow@127.0.0.1/mlflow")(setup)
    setup.stack.enter_context(patch.dict(sys.modules, {"psycopg": None}))


def no_keys_for_s3(setup: Setup) -> None:
    artifacts_at(setup, "s3://models/m")
    files = dict.fromkeys(("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"), "/dev/null")
    setup.variables |= {"AWS_EC2_METADATA_DISABLED": "true"} | files


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


def keys_for_everybody(setup: Setup) -> None:
    keys = setup.folder / "the keys"
    keys.write_text(HUSHED)
    keys.chmod(0o644)
    setup.options["--api-keys-file"] = str(keys)


def a_stage(kind: str) -> Break:
    """Version 2 of the stage before a model, which fits version 1 alone, in production."""

    def break_it(setup: Setup) -> None:
        register(setup.registry, "s", made.STAGE, kind)
        register(setup.registry, "n", made.MODEL)
        client = setup.registry.client
        client.set_model_version_tag("n", "1", "cloche.before", "models:/s@production")
        client.set_registered_model_alias("s", "previous", "1")
        client.set_registered_model_alias("s", "production", "2")
        setup.arguments = ["models:/n@production"]

    return break_it


def rolls_back(setup: Setup, text: str) -> None:
    words = re.search(r"cloche (rollback \w+)", text)[1].split()
    done = CliRunner().invoke(cloche, [*words, "--force"], env=setup.variables)
    assert done.exit_code == 0, done.output


def few_files(setup: Setup) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, before[1]))
    setup.stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, before)


def _key(setup: Setup) -> str:
    return str(setup.folder / "key.pem")


def _pem(setup: Setup, days: int) -> str:
    """A certificate that is good for so many days, or was until so many ago."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    made = x509.CertificateBuilder(
        name, name, key.public_key(), 1, now - timedelta(days=9), now + timedelta(days=days)
    ).sign(key, hashes.SHA256())  # fmt: skip
    written = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    Path(_key(setup)).write_bytes(written)
    Path(_key(setup)).chmod(0o600)
    file = setup.folder / "certificate.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return str(file)


# How what is advised is carried out. Each takes the set-up and the text.


def types_it(setup: Setup, text: str) -> None:
    """The command up to the first word that is not part of it."""
    command = re.search(r"chmod [\w+]+ (?:'[^']+'|\S+)|kill \d+|openssl .*; chmod \d+ \w+", text)[0]
    subprocess.run(command, shell=True, check=True, cwd=setup.folder)  # noqa: S602


def accelerates_it(setup: Setup, text: str) -> None:
    """Without the proof, which says that there is no twin of such a model: it loses the tag."""
    words = shlex.split(re.search(r"cloche (accelerate .*)$", text)[1])
    rows = setup.folder / "rows.csv"
    rows.write_text("a\n1\n")
    refused = patch(
        "cloche.training.accelerate_version.make_twin_in_process",
        side_effect=TwinRefused("by its flavor"),
    )
    with refused:
        done = CliRunner().invoke(cloche, [*words, "--data", str(rows)], env=setup.variables)
    assert isinstance(done.exception, TwinRefused), (done.output, done.exception)


def gives_the_option(setup: Setup, text: str) -> None:
    option, value = re.findall(r"(--port|--max-connections|--env-manager) (\w+)", text)[-1]
    setup.options[option] = value


def names_another_store(setup: Setup, text: str) -> None:
    assert "MLFLOW_TRACKING_URI" in text
    good = setup.folder / "good.db"
    shutil.copy(setup.made / "mlflow.db", good)
    setup.variables["MLFLOW_TRACKING_URI"] = f"sqlite:///{good}"


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


def gives_the_keys(setup: Setup, text: str) -> None:
    types_it(setup, text)
    setup.options["--api-keys-file"] = str(setup.folder / "keys")
    assert "--api-keys-file keys" in text


def makes_the_webhook(setup: Setup, text: str) -> None:
    assert "create_webhook" in text
    event = WebhookEvent(WebhookEntity.MODEL_VERSION_ALIAS, WebhookAction.CREATED)
    url = "https://8.8.8.8/webhooks/registry"
    setup.registry.client.create_webhook("w", url, [event], secret=HUSHED)


# fault → what is wrong, what is found and said of it, and what mends it: None where another test
# shows that, or nobody but the user can.
FAULTS: dict[str, tuple[Break, tuple[str, str], str, str, Mend | None]] = {
    "the port is taken": (
        listens_already, ("fail", "port"), "(pid ", "--port ", gives_the_option),
    "no server answers": (
        store("http://127.0.0.1:{port}"), ("fail", "tracking"),
        "Connection refused", "MLFLOW_TRACKING_URI", names_another_store),
    "a database that is away": (
        store(f"postgresql+psycopg://mlflow:{HUSHED.replace(' ', '-')}@127.0.0.1:{{port}}/mlflow"),
        ("fail", "tracking"), "mlflow:***@", "MLFLOW_TRACKING_URI", names_another_store),
    "no driver": (
        store("postgresql+pg8000://mlflow@127.0.0.1/mlflow"), ("fail", "tracking"),
        "needs pg8000", "pip install pg8000", installs_it),
    "a driver that is not named": (
        driver_without_a_name, ("fail", "tracking"),
        "needs psycopg", "cloche[postgres]", installs_it),
    "another directory": (
        store(ELSEWHERE), ("warn", "tracking"),
        "not there yet", "export MLFLOW_TRACKING_URI", names_another_store),
    "old tables": (
        old_tables, ("fail", "tracking"), "tables of another MLflow", "mlflow db upgrade", None),
    "a locked database": (locked, ("fail", "tracking"), "(pid ", "kill ", types_it),
    "a database that may be read only": (
        read_only, ("warn", "tracking"), "nothing can be trained", "chmod u+w", types_it),
    "no database": (
        no_database, ("fail", "tracking"),
        "not a database", "MLFLOW_TRACKING_URI", names_another_store),
    "no alias": (
        no_alias, ("fail", URI), "no version stands behind it", "cloche promote", promotes),
    "a typing error": (
        arguments("models:/n@production"), ("fail", "models:/n@production"),
        "no version", "cloche promote", takes_a_name_that_is_there),
    "no artifacts": (
        lambda setup: artifacts_at(setup, str(setup.folder / "gone")), ("fail", "artifacts"),
        "cannot be read", "restore what was at", restores_the_folder),
    "no package for S3": (
        no_package_for_s3, ("fail", "artifacts"),
        "need boto3", "pip install 'cloche[aws]'", installs_it),
    "no keys for S3": (
        no_keys_for_s3, ("fail", "artifacts"), "credentials", "AWS_ACCESS_KEY_ID", None),
    "other requirements": (
        other_requirements, ("warn", "environment"),
        "Python 3.9 (", "--env-manager uv", gives_the_option),
    "no twin": (
        no_twin, ("warn", "twin"),
        "not beside the model", "cloche accelerate m --version 1", accelerates_it),
    "no twin of a folder": (
        no_twin_of_a_folder, ("warn", "twin"),
        "not beside the model", "--no-acceleration",
        lambda setup, text: setup.arguments.append(re.search(r"serve it with (--\S+),", text)[1])),
    "a stage without a column": (
        a_stage(made.WRONG_COLUMN), ("fail", "stages"), "n 1 takes 'b', which the stage before it, "
        "s 2, does not answer", "cloche rollback s", rolls_back),
    "a stage with another type": (
        a_stage(made.WRONG_TYPE), ("fail", "stages"), "n 1 takes 'b' as double, and the stage "
        "before it, s 2, answers string", "cloche rollback s", rolls_back),
    "a stage whose answers are unknown": (
        a_stage(made.UNSIGNED), ("warn", "stages"), "nobody knows whether n 1 takes what s 2",
        "log both with a signature", lambda setup, _: setup.registry.promote("1", "s")),
    "nothing to serve": (
        lambda setup: (no_alias(setup), arguments("--all")(setup)), ("warn", "models"),
        "has the alias production", "cloche promote", promotes),
    "a cache that is a file": (
        lambda setup: setup.options.update({"--cache-dir": f"{setup.registry.database}/cache"}),
        ("fail", "cache"), "--cache-dir", "Choose another",
        lambda setup, _: setup.options.update({"--cache-dir": str(setup.folder / "another")})),
    "TLS without a key": (
        certificate(90, key=False), ("fail", "options"), "TLS needs both", "--tls-key",
        lambda setup, _: certificate(90)(setup)),
    "a certificate that ended": (
        certificate(-1), ("fail", "certificate"), "ended on", "renew it",
        lambda setup, _: certificate(90)(setup)),
    "a certificate that ends soon": (
        certificate(3), ("warn", "certificate"), "is good until", "renew it",
        lambda setup, _: certificate(90)(setup)),
    "keys for everybody": (
        keys_for_everybody, ("warn", "--api-keys-file"),
        "read by others (mode 644)", "chmod 600", types_it),
    "no keys for the world": (
        lambda setup: (setup.options.update({"--host": "0.0.0.0"}),  # noqa: S104
                       setup.variables.pop("CLOCHE_API_KEYS")),
        ("warn", "API keys"), "everybody", "--api-keys-file", gives_the_keys),
    "few files": (
        few_files, ("warn", "open files"), "1024 may be open", "ulimit -n 4352", gives_the_option),
    "text in Latin-1": (
        lambda setup: setup.stack.enter_context(
            patch("locale.getpreferredencoding", lambda _: "ISO-8859-1")),
        ("warn", "locale"), "as ISO-8859-1", "LC_ALL=C.UTF-8", None),
    "nobody pushes": (
        lambda setup: setup.variables.update({"CLOCHE_WEBHOOK_SECRET": HUSHED}),
        ("warn", "webhook"), "only polls", "create_webhook", makes_the_webhook),
    "two of one name": (
        arguments(URI, "models:/m/1"), ("fail", "models"),
        "another model is served", "NAME=",
        lambda setup, text: arguments(URI, re.search(r"NAME=\S+", text)[0])(setup)),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_broken_is_found_and_explained_and_the_advice_mends_it(setup: Setup, fault: str):
    break_it, found, says, fix, mend = FAULTS[fault]
    break_it(setup)
    code, findings = setup.findings()
    (one,) = [one for one in findings if one["state"] != "ok"]
    assert (one["state"], one["check"]) == found
    assert says in one["says"]
    assert fix in f"{one['says']} {one['fix']}"
    assert code == (1 if one["state"] == "fail" else 0)
    if mend:
        mend(setup, f"{one['says']} {one['fix']}")
        left = [again for again in setup.findings()[1] if again["state"] != "ok"]
        assert found not in {(again["state"], again["check"]) for again in left}


def test_a_set_up_that_works_is_told_to_work(setup: Setup):
    done = setup.told()
    assert done.returncode == 0, done.stdout
    assert {line.split()[0] for line in done.stdout.splitlines()} == {"ok"}
    assert f"{URI}: is version 1" in done.stdout


def test_an_examination_makes_no_registry(setup: Setup):
    store(ELSEWHERE)(setup)
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


def test_a_server_of_the_version_that_is_named_lacks_nothing():
    with answering(Old("2.9.2")) as url:
        old = next(one for one in tracking._clock_and_version(url) if one.check == "MLflow")
    assert (old.state, "an older server may lack" in old.says) == ("warn", True)
    version = re.search(r"pip install 'mlflow==(\S+)', on the server$", old.fix)[1]
    with answering(Old(version)) as url:
        new = next(one for one in tracking._clock_and_version(url) if one.check == "MLflow")
    assert new.state == "ok"


@pytest.mark.breadth
def test_old_tables_are_upgraded_by_the_command_that_is_told(setup: Setup):
    file = setup.folder / "old.db"
    setup.variables["MLFLOW_TRACKING_URI"] = uri = f"sqlite:///{file}"
    config = utils._get_alembic_config(uri)
    _, before = list(ScriptDirectory.from_config(config).walk_revisions())[:2]
    InitialBase.metadata.create_all(utils.create_sqlalchemy_engine(uri))
    alembic.command.upgrade(config, before.revision)

    found = next(one for one in setup.findings()[1] if one["check"] == "tracking")
    assert found["state"] == "fail"
    command = re.search(r"mlflow db upgrade \S+\"", found["fix"])[0]
    variables = environment() | setup.variables
    subprocess.run(command, shell=True, check=True, env=variables, capture_output=True)  # noqa: S602

    found = next(one for one in setup.findings()[1] if one["check"] == "tracking")
    assert found["state"] == "ok"


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
