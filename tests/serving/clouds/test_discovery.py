"""What the environment of a container means."""

from ipaddress import ip_address

import pytest

from cloche.serving.clouds.discovery import find


def test_without_a_sign_it_is_the_container_that_mlflow_builds_and_sagemaker_runs():
    cloud = find({})
    assert cloud.contract.predict_path == "/invocations"
    assert cloud.options["models"] == ("model=/opt/ml/model",)
    assert cloud.options["port"] == 8080
    assert ip_address(cloud.options["host"]).is_unspecified
    assert cloud.options["drain_timeout"] < 30, "it ends before it is killed"


@pytest.mark.parametrize(("megabytes", "at_least"), [("50", 50 * 2**20), ("0", 2**30)])
def test_a_transform_job_says_how_large_a_payload_is(megabytes, at_least):
    variables = {"SAGEMAKER_BATCH": "true", "SAGEMAKER_MAX_PAYLOAD_IN_MB": megabytes}
    assert find(variables).options["max_body"] >= at_least


def test_vertex_says_where_it_asks():
    cloud = find({"AIP_HTTP_PORT": "80", "AIP_HEALTH_ROUTE": "/h", "AIP_PREDICT_ROUTE": "/p",
                  "AIP_STORAGE_URI": ""})  # fmt: skip
    assert (cloud.contract.health_path, cloud.contract.predict_path) == ("/h", "/p")
    assert cloud.options["port"] == 80
    assert cloud.options["drain_timeout"] < 30
    assert "models" not in cloud.options, "whoever starts the container names them"
