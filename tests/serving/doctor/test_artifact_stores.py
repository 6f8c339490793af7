"""What the doctor advises for a store of artifacts is carried out, and mends what it named."""

import json
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import boto3
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from mlflow.models import Model
from mlflow.store.artifact.s3_artifact_repo import _cached_get_s3_client

from cloche.serving.doctor.check_result import CheckResult
from cloche.serving.doctor.versions import followed
from cloche.serving.registry.uri import parse
from cloche.serving.settings import Settings
from tests.clouds.aws import REGION, Person, moto

pytestmark = pytest.mark.breadth


def artifacts(uri: str) -> CheckResult:
    """What the doctor finds of the artifacts at a URI, as a command of its own would."""
    _cached_get_s3_client.cache_clear()
    boto3.DEFAULT_SESSION = None
    return next(
        one
        for one in followed(Settings(models=(uri,)), [parse(f"m={uri}")])
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


class Google(BaseHTTPRequestHandler):
    """Google's store, which knows nobody, and its server of tokens, which counts questions."""

    tokens = 0

    def do_GET(self) -> None:
        told = "Anonymous caller does not have storage.objects.list access to the bucket."
        self._answer(401, {"error": {"code": 401, "message": told}})

    def do_POST(self) -> None:
        Google.tokens += 1
        self._answer(400, {"error": "invalid_grant"})

    def _answer(self, status: int, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def google() -> Iterator[str]:
    """The address of such a server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Google) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.filterwarnings("ignore:Please install grpcio-status:ImportWarning")
def test_credentials_of_google(google, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NO_GCE_CHECK", "true")  # what asks for a machine of Google's
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    with monkeypatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", google)
        found = artifacts("gs://bucket/model")
    (variable,) = re.findall(r"export (\w+)=FILE", found.fix)

    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {
        "type": "service_account", "project_id": "p", "private_key": key.decode(),
        "client_email": "a@p", "token_uri": f"{google}/token",
    }  # fmt: skip
    (tmp_path / "account.json").write_text(json.dumps(account))
    monkeypatch.setenv(variable, str(tmp_path / "account.json"))
    found = artifacts("gs://bucket/model")
    assert Google.tokens  # the file is taken; whom it lets in, Google decides
    assert variable not in found.fix
