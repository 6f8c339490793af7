"""What the doctor advises for a store of artifacts is carried out, and mends what it named."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from mlflow.models import Model
from mlflow.store.artifact.s3_artifact_repo import _cached_get_s3_client

from cloche.serving.doctor.check_result import CheckResult
from cloche.serving.doctor.versions import check_versions
from cloche.serving.registry.uri import parse
from cloche.serving.settings import Settings
from tests import advice
from tests.broken_servers import answering
from tests.clouds.aws import REGION, Person, moto

pytestmark = pytest.mark.breadth


def artifacts(uri: str) -> CheckResult:
    """What the doctor finds of the artifacts at a URI, as a command of its own would."""
    _cached_get_s3_client.cache_clear()
    boto3.DEFAULT_SESSION = None
    return next(
        one
        for one in check_versions(Settings(models=(uri,)), [parse(f"m={uri}")])
        if one.check == "artifacts"
    )


def test_keys_and_rights_of_s3(monkeypatch, tmp_path: Path) -> None:
    Model().save(str(tmp_path / "MLmodel"))
    with moto() as aws:
        s3 = aws.client("s3")
        s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.upload_file(str(tmp_path / "MLmodel"), "bucket", "model/MLmodel")
        person = Person(aws, "reader")
        for name, value in (aws.variables | {"MLFLOW_S3_ENDPOINT_URL": aws.url}).items():
            monkeypatch.setenv(name, value)
        with monkeypatch.context() as patch:
            for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
                patch.setenv(name, "/dev/null")
            patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
            names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
            for name in names:
                patch.delenv(name)
            found = artifacts("s3://bucket/model")
        assert all(name in found.fix for name in names), found
        keys = person.keys()
        for wrong in ({"AWS_ACCESS_KEY_ID": "AKIAUNKNOWN"}, {"AWS_SECRET_ACCESS_KEY": "other"}):
            for name, value in (keys | wrong).items():
                monkeypatch.setenv(name, value)
            with person.judged():
                found = artifacts("s3://bucket/model")
            assert "export AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… that it knows" in found.fix

        for name, value in keys.items():
            monkeypatch.setenv(name, value)
        with person.judged():
            found = artifacts("s3://bucket/model")
        assert "does not let them read" in found.fix

        person.grant(*re.findall(r"s3:\w+", found.fix))
        with person.judged():
            assert artifacts("s3://bucket/model").state == "ok"


@pytest.fixture
def google() -> Iterator[tuple[str, list[str]]]:
    """Google's store, which knows nobody, with its server of tokens; and what it was sent."""
    told = "Anonymous caller does not have storage.objects.list access to the bucket."
    asked: list[str] = []

    def answer(handler: Any, _: bytes) -> None:
        asked.append(handler.command)
        status, document = 400, {"error": "invalid_grant"}
        if handler.command == "GET":
            status, document = 401, {"error": {"code": 401, "message": told}}
        handler.reply(status, json.dumps(document).encode(), "application/json")

    with answering(answer) as url:
        yield url, asked


@pytest.mark.filterwarnings("ignore:Please install grpcio-status:ImportWarning")
def test_credentials_of_google(google, monkeypatch, tmp_path: Path) -> None:
    url, asked = google
    monkeypatch.setenv("NO_GCE_CHECK", "true")  # what asks for a machine of Google's
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    with monkeypatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", url)
        found = artifacts("gs://bucket/model")
    (variable,) = re.findall(r"export (\w+)=FILE", found.fix)

    command = re.search(r"gcloud auth [\w -]+ login$", found.fix)[0]

    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {
        "type": "service_account", "project_id": "p", "private_key": key.decode(),
        "client_email": "a@p", "token_uri": f"{url}/token",
    }  # fmt: skip
    (tmp_path / "account.json").write_text(json.dumps(account))
    monkeypatch.setenv(variable, str(tmp_path / "account.json"))
    found = artifacts("gs://bucket/model")
    assert "POST" in asked  # the file is taken; whom it lets in, Google decides
    assert variable not in found.fix

    asked.clear()
    monkeypatch.delenv(variable)
    leaves = f'cp {tmp_path}/account.json "$CLOUDSDK_CONFIG/application_default_credentials.json"'
    only = '[ "$*" = "auth application-default login" ]'
    advice.stand_in(tmp_path, "gcloud", f"{only} && {leaves}")
    advice.type_it(command, tmp_path)
    found = artifacts("gs://bucket/model")
    assert "POST" in asked
    assert "gcloud" not in found.fix
