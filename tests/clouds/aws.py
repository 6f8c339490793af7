"""An AWS of our own: moto for the control plane, and a gateway for what reaches the container."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import requests

from tests.broken_servers import answering
from tests.online import running_program
from tests.shell import free_port

REGION = "eu-west-1"
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}


@dataclass
class Aws:
    """A running moto, and what programs need to find it."""

    url: str
    variables: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.variables = {**KEYS, "AWS_ENDPOINT_URL": self.url, "AWS_DEFAULT_REGION": REGION}

    def client(self, service: str, url: str = "") -> Any:
        return boto3.client(
            service, region_name=REGION, endpoint_url=url or self.url,
            aws_access_key_id="testing", aws_secret_access_key="testing",
        )  # fmt: skip


@dataclass
class Person:
    """A user of moto's IAM, whose rights are looked at inside of `judged`."""

    aws: Aws
    name: str

    def __post_init__(self) -> None:
        self._iam = self.aws.client("iam")
        self._iam.create_user(UserName=self.name)

    def keys(self) -> dict[str, str]:
        """New keys, as variables."""
        made = self._iam.create_access_key(UserName=self.name)["AccessKey"]
        return {
            "AWS_ACCESS_KEY_ID": made["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"],
        }

    def grant(self, *actions: str) -> None:
        """Allow these actions on everything, and no others."""
        allowed = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        self._iam.put_user_policy(UserName=self.name, PolicyName="p", PolicyDocument=document)

    @contextlib.contextmanager
    def judged(self) -> Iterator[None]:
        """Let moto look at keys and rights."""
        requests.post(f"{self.aws.url}/moto-api/reset-auth", data=b"0", timeout=10)
        try:
            yield
        finally:
            requests.post(f"{self.aws.url}/moto-api/reset-auth", data=b"inf", timeout=10)


@contextlib.contextmanager
def moto() -> Iterator[Aws]:
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-p", str(port)]
    url, quiet = f"http://127.0.0.1:{port}", subprocess.DEVNULL
    with running_program(command, f"{url}/moto-api/data.json", stdout=quiet, stderr=quiet):
        yield Aws(url)


@dataclass
class Gateway:
    """What stands between a client of SageMaker's runtime and the container.

    It passes on what SageMaker does: the body, its type, what is accepted, and its own headers.

    Attributes:
        passed: The headers that reached the container with the last request.
    """

    container: str
    url: str = ""
    passed: dict[str, str] = field(default_factory=dict)


@contextlib.contextmanager
def gateway(container: str) -> Iterator[Gateway]:
    found = Gateway(container)

    def pass_on(handler: Any, body: bytes) -> None:
        found.passed = {
            name: value for name, value in handler.headers.items()
            if name.lower() in ("content-type", "accept")
            or name.lower().startswith("x-amzn-sagemaker")
        }  # fmt: skip
        answer = requests.post(f"{container}/invocations", body, headers=found.passed, timeout=60)
        handler.reply(answer.status_code, answer.content, answer.headers["content-type"])

    with answering(pass_on) as found.url:
        yield found
