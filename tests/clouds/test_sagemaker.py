"""A model goes to SageMaker by MLflow's own command, and what was uploaded is served by ours.

The control plane is moto. What a container gets there is taken from it: the archive from its S3,
and the variables of the model that it holds.
"""

import io
import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import requests

from tests.clouds.aws import REGION, Aws, Gateway, gateway, moto
from tests.online import Server, serving
from tests.protocol.contenders import MlflowServer
from tests.shell import environment

pytestmark = [pytest.mark.slow, pytest.mark.breadth, pytest.mark.xdist_group("clouds")]

NAME = "prices"
IMAGE = f"123456789012.dkr.ecr.{REGION}.amazonaws.com/cloche:1"
COMMAND = ("container", "serve")
JSON_LINES = "application/jsonlines"


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    with moto() as running:
        running.client("s3").create_bucket(
            Bucket="models", CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        yield running


@pytest.fixture(scope="module")
def role(aws: Aws) -> str:
    service = {"Service": "sagemaker.amazonaws.com"}
    trust = {"Statement": [{"Effect": "Allow", "Principal": service}]}
    created = aws.client("iam").create_role(
        RoleName="serving", AssumeRolePolicyDocument=json.dumps(trust)
    )
    arn: str = created["Role"]["Arn"]
    return arn


@pytest.fixture(scope="module")
def container_definition(aws: Aws, role: str, model: Path, tmp_path_factory) -> dict[str, Any]:
    """What SageMaker would start, once MLflow deployed the model."""
    config = {
        "execution_role_arn": role, "bucket": "models", "image_url": IMAGE,
        "env": json.dumps({"CLOCHE_SERVE_REPLICAS": "1"}),
    }  # fmt: skip
    subprocess.run(
        [
            *("mlflow", "deployments", "create", "-t", f"sagemaker:/{REGION}"),
            *("--name", NAME, "-m", str(model)),
            *(part for name, value in config.items() for part in ("-C", f"{name}={value}")),
        ],
        env=environment() | aws.variables, cwd=tmp_path_factory.mktemp("operator"), check=True,
    )  # fmt: skip
    sagemaker = aws.client("sagemaker")
    endpoint = sagemaker.describe_endpoint(EndpointName=NAME)
    configuration = sagemaker.describe_endpoint_config(
        EndpointConfigName=endpoint["EndpointConfigName"]
    )
    (variant,) = configuration["ProductionVariants"]
    found: dict[str, Any] = sagemaker.describe_model(ModelName=variant["ModelName"])
    return found["PrimaryContainer"]


def unpack(aws: Aws, archive: str, base: Path) -> None:
    """Put a model archive where SageMaker does."""
    bucket, _, key = archive.removeprefix("s3://").partition("/")
    content = aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        tar.extractall(base / "model", filter="data")


@pytest.fixture(scope="module")
def base(aws: Aws, container_definition: dict[str, Any], tmp_path_factory) -> Path:
    """What is /opt/ml in a container."""
    base = tmp_path_factory.mktemp("opt") / "ml"
    unpack(aws, container_definition["ModelDataUrl"], base)
    return base


@pytest.fixture(scope="module")
def container(
    base: Path, container_definition: dict[str, Any], tmp_path_factory
) -> Iterator[Server]:
    variables = {
        **container_definition["Environment"],
        "SAGEMAKER_BASE_DIR": str(base),
        "SAGEMAKER_BIND_TO_PORT": "0",
    }
    directory = tmp_path_factory.mktemp("container")
    with serving(directory=directory, environment=variables, command=COMMAND) as server:
        yield server.wait_until_ready()


@pytest.fixture(scope="module")
def runtime(container: Server) -> Iterator[Gateway]:
    with gateway(container.url) as running:
        yield running


def test_the_endpoint_that_mlflow_made_is_in_service(aws: Aws, container_definition, role: str):
    sagemaker = aws.client("sagemaker")
    assert sagemaker.describe_endpoint(EndpointName=NAME)["EndpointStatus"] == "InService"
    assert container_definition["Image"] == IMAGE
    assert container_definition["Environment"]["CLOCHE_SERVE_REPLICAS"] == "1"


def piece(
    server: Server | MlflowServer, content_type: str, body: bytes, accept: str = ""
) -> requests.Response:
    headers = {"content-type": content_type, **({"accept": accept} if accept else {})}
    return requests.post(f"{server.url}/invocations", body, headers=headers, timeout=60)


BODIES = [
    ("application/json", b'{"dataframe_records": [{"size": 2, "kind": "new"}]}'),
    ("application/json", b'{"dataframe_split": {"columns": ["kind", "size"], "data": [["", 3]]}}'),
    ("application/json", b'{"inputs": [{"size": 2, "kind": "new"}], "params": {"factor": 0.5}}'),
    ("application/json; charset=utf-8", b'{"instances": [{"size": 1e3, "kind": "\xed\x95\x9c"}]}'),
    ("text/csv", b"kind,size\nnew,2.5\nused,4\n"),
]  # fmt: skip


@pytest.mark.parametrize(("content_type", "body"), BODIES)
def test_the_archive_answers_as_mlflow_does(container, mlflow, content_type, body):
    ours, theirs = (piece(server, content_type, body) for server in (container, mlflow))
    assert (ours.status_code, ours.json()) == (200, theirs.json())


REFUSED = [
    ("application/json", b'{"dataframe_records": [{"size": "big", "kind": "new"}]}'),
    ("application/json", b"{"),
    ("text/csv", b"kind\nnew\n"),
    ("application/x-recordio-protobuf", b"\0"),
]


@pytest.mark.parametrize(("content_type", "body"), REFUSED)
def test_what_mlflow_refuses_is_refused_with_the_same_code(container, mlflow, content_type, body):
    ours, theirs = (piece(server, content_type, body) for server in (container, mlflow))
    assert ours.status_code == theirs.status_code
    assert 400 <= ours.status_code < 500


def test_boto3_gets_answers_with_every_header_that_sagemaker_knows(aws: Aws, runtime: Gateway):
    answer = aws.client("sagemaker-runtime", runtime.url).invoke_endpoint(
        EndpointName=NAME, ContentType="application/json", Accept="application/json",
        Body=b'{"dataframe_records": [{"size": 2, "kind": "new"}]}',
        CustomAttributes="tenant=7", TargetModel="a.tar.gz", TargetVariant="AllTraffic",
        InferenceId="11d6",
    )  # fmt: skip

    assert json.loads(answer["Body"].read()) == {"predictions": [4.0]}
    assert {name.lower() for name in runtime.passed} >= {
        "x-amzn-sagemaker-custom-attributes", "x-amzn-sagemaker-target-model",
        "x-amzn-sagemaker-target-variant", "x-amzn-sagemaker-inference-id",
    }  # fmt: skip


def test_mlflow_predicts_through_sagemaker(aws: Aws, runtime: Gateway, tmp_path: Path):
    rows = tmp_path / "rows.json"
    rows.write_text(pd.DataFrame({"size": [2.0, 3.0], "kind": ["new", "used"]}).to_json())
    told = subprocess.run(
        [
            *("mlflow", "deployments", "predict", "-t", f"sagemaker:/{REGION}"),
            *("--name", NAME, "-I", str(rows)),
        ],
        env=environment() | aws.variables | {"AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": runtime.url},
        cwd=tmp_path, check=True, capture_output=True, text=True,
    )  # fmt: skip

    assert json.loads(told.stdout)["predictions"] == [4.0, 3.0]


def test_a_ping_is_answered_with_an_empty_line_and_transform_jobs_are_told_how_to_ask(container):
    answer = container.get("/ping")

    assert (answer.status_code, answer.text.strip()) == (200, "")
    assert container.get("/execution-parameters").json() == {
        "MaxConcurrentTransforms": 8, "BatchStrategy": "MULTI_RECORD", "MaxPayloadInMB": 6,
    }  # fmt: skip


@pytest.fixture(scope="module")
def transform(base: Path, tmp_path_factory) -> Iterator[Server]:
    """The container of a transform job."""
    variables = {
        "SAGEMAKER_BASE_DIR": str(base), "SAGEMAKER_BIND_TO_PORT": "0", "SAGEMAKER_BATCH": "true",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": "20", "SAGEMAKER_BATCH_STRATEGY": "SINGLE_RECORD",
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": "2",
    }  # fmt: skip
    directory = tmp_path_factory.mktemp("transform")
    with serving(directory=directory, environment=variables, command=COMMAND) as server:
        yield server.wait_until_ready()


def test_a_job_that_was_configured_hears_what_it_said(transform: Server):
    assert transform.get("/execution-parameters").json() == {
        "MaxConcurrentTransforms": 2, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 20,
    }  # fmt: skip


def test_a_payload_may_be_as_large_as_the_job_says(transform: Server):
    line = b'{"size": 2, "kind": "new"%s}\n' % (b" " * 4000)
    answer = piece(transform, JSON_LINES, line * (18 * 1024 * 1024 // len(line)))
    assert answer.status_code == 200, answer.text
    assert set(answer.text.split()) == {"4.0"}


def test_json_lines_are_answered_line_by_line(transform: Server):
    answer = piece(
        transform, JSON_LINES, b'{"size": 2, "kind": "new"}\n{"kind": "used", "size": 3}'
    )

    assert answer.headers["content-type"] == JSON_LINES
    assert answer.text == "4.0\n3.0\n"


def test_csv_without_a_header_is_answered_line_by_line(transform: Server):
    rows = b'2,new\n4,"old, with a comma"\n'
    answer = piece(transform, "text/csv; header=absent", rows, accept="text/csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.text == "4.0\n2.0\n"


def test_mlflow_deploys_a_transform_job(aws: Aws, role: str, model: Path, tmp_path: Path):
    code = (
        "import mlflow.sagemaker, sys; mlflow.sagemaker.deploy_transform_job(job_name='nightly',"
        " model_uri=sys.argv[1], s3_input_data_type='S3Prefix', s3_input_uri='s3://models/in/',"
        " content_type='text/csv; header=absent', s3_output_path='s3://models/out/',"
        " execution_role_arn=sys.argv[2], bucket='models', image_url=sys.argv[3],"
        " region_name=sys.argv[4], archive=True)"
    )
    subprocess.run(
        ["python", "-c", code, str(model), role, IMAGE, REGION],
        env=environment() | aws.variables, cwd=tmp_path, check=True,
    )  # fmt: skip
    job = aws.client("sagemaker").describe_transform_job(TransformJobName="nightly")

    assert job["TransformInput"]["SplitType"] == "Line"
    assert job["TransformOutput"]["Accept"] == "text/csv"
