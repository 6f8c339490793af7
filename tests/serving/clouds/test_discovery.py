"""What the environment of a container means."""

from ipaddress import ip_address

import pytest

from cloche.serving.clouds.discovery import find
from cloche.serving.errors import SettingsError


def test_without_a_sign_it_is_the_container_that_mlflow_builds_and_sagemaker_runs():
    cloud = find({})

    assert cloud.contract.predict_path == "/invocations"
    assert cloud.options["models"] == ("model=/opt/ml/model",)
    assert cloud.options["port"] == 8080
    assert ip_address(cloud.options["host"]).is_unspecified


def test_a_pipeline_of_containers_gives_each_a_port():
    assert find({"SAGEMAKER_BIND_TO_PORT": "8123"}).options["port"] == 8123


def test_it_ends_before_it_is_killed():
    assert find({}).options["drain_timeout"] < 30
    assert find({"AIP_HTTP_PORT": "1"}).options["drain_timeout"] < 30


@pytest.mark.parametrize(("megabytes", "at_least"), [("50", 50 * 2**20), ("0", 2**30)])
def test_a_transform_job_says_how_large_a_payload_is(megabytes, at_least):
    variables = {"SAGEMAKER_BATCH": "true", "SAGEMAKER_MAX_PAYLOAD_IN_MB": megabytes}

    assert find(variables).options["max_body"] >= at_least


def test_vertex_says_where_it_asks():
    cloud = find({"AIP_HTTP_PORT": "80", "AIP_HEALTH_ROUTE": "/h", "AIP_PREDICT_ROUTE": "/p"})

    assert (cloud.contract.health_path, cloud.contract.predict_path) == ("/h", "/p")
    assert cloud.options["port"] == 80


def test_a_model_without_artifacts_is_left_to_whoever_starts_the_container():
    assert "models" not in find({"AIP_HTTP_PORT": "80", "AIP_STORAGE_URI": ""}).options


@pytest.mark.parametrize(
    "variables",
    [
        {"SAGEMAKER_BIND_TO_PORT": "http"},
        {"AIP_HTTP_PORT": "-1"},
        {"SAGEMAKER_BATCH_STRATEGY": "ALL"},
        {"SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": "many"},
        {"SAGEMAKER_BATCH": "true", "SAGEMAKER_MAX_PAYLOAD_IN_MB": "6MB"},
    ],
)
def test_a_variable_that_cannot_be_read_is_named_with_its_value(variables):
    name, value = list(variables.items())[-1]

    with pytest.raises(SettingsError, match=f"{name}={value}: it must be"):
        find(variables)
