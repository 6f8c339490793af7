"""The manifests: valid, of one piece, true to the product, and their commands run as processes."""

import inspect
import re
import shutil
import subprocess
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import kubernetes_validate
import pytest
import requests
import yaml
from mlflow import environment_variables as mlflow_variables
from prometheus_client import generate_latest

from cloche.main import COMMANDS
from cloche.serving.cli import serve as serve_module
from cloche.serving.observability.metrics import Metrics
from tests import warm
from tests.deploy.conftest import BAD
from tests.deploy.kubernetes import FOLDER, NEWEST, OLDEST, Manifest, built, mistakes, one
from tests.deploy.test_daily import yesterday
from tests.kserve import models as kserve_models
from tests.lifecycle.registry import Registry
from tests.online import serving
from tests.shell import environment, free_port

pytestmark = pytest.mark.xdist_group("deploy")

KSERVE_TYPES = {
    "ServingRuntime": "V1alpha1ServingRuntime",
    "InferenceService": "V1beta1InferenceService",
}
STANDARD = {"HOME", "TZ"}  # read by what is below us


@pytest.fixture(scope="module")
def base() -> list[Manifest]:
    return built(FOLDER / "base")


@pytest.fixture(scope="module")
def kserve() -> list[Manifest]:
    return built(FOLDER / "kserve")


@pytest.fixture(scope="module")
def pods(base: list[Manifest], kserve: list[Manifest]) -> dict[str, Manifest]:
    """The pods of all manifests by the kind that makes them."""
    return {
        "Deployment": one(base, "Deployment")["spec"]["template"]["spec"],
        "CronJob": one(base, "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"],
        "ServingRuntime": one(kserve, "ServingRuntime")["spec"],
    }


KINDS = pytest.mark.parametrize("kind", ["Deployment", "CronJob", "ServingRuntime"])


def container(pod: Manifest) -> Manifest:
    (found,) = pod["containers"]
    return found  # type: ignore[no-any-return]


def options(arguments: list[str], folder: Path) -> dict[str, Any]:
    """What our own command line makes of a container's arguments."""
    local = {"/mnt/models": str(folder), "{{.Name}}": "m"}
    for name, value in local.items():
        arguments = [each.replace(name, value) for each in arguments]
    module, _, attribute = COMMANDS[arguments[0]].partition(":")
    command: click.Command = getattr(import_module(module), attribute)
    return command.make_context(arguments[0], arguments[1:]).params


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_the_base_is_valid(base: list[Manifest], version: str) -> None:
    for each in base:
        kubernetes_validate.validate(each, version, strict=True)


def test_the_overlay_of_the_readme_changes_image_registry_model_and_namespace(tmp_path):
    for folder in ("base", "monitoring"):
        shutil.copytree(FOLDER / folder, tmp_path / folder)
    (overlay,) = re.findall(r"```yaml\n(.*?)```", (FOLDER / "README.md").read_text(), re.DOTALL)
    (tmp_path / "overlay").mkdir()
    (tmp_path / "overlay" / "kustomization.yaml").write_text(overlay)
    made = built(tmp_path / "overlay")
    of = container(one(made, "Deployment")["spec"]["template"]["spec"])
    assert of["image"] == "registry.example.com/cloche:0.1.0"
    assert of["args"][:2] == ["serve", "models:/churn@production"]
    assert one(made, "ConfigMap")["data"]["MLFLOW_TRACKING_URI"] == "http://mlflow.mlops:5000"
    assert {each["metadata"]["namespace"] for each in made} == {"models"}
    assert one(made, "PodMonitor")


@pytest.mark.slow
@pytest.mark.breadth
@pytest.mark.parametrize("kind", list(KSERVE_TYPES))
def test_what_kserve_reads_is_valid(kserve: list[Manifest], kind: str) -> None:
    assert not mistakes(kserve_models(), KSERVE_TYPES[kind], one(kserve, kind))


@KINDS
def test_arguments_are_those_of_our_commands(pods, kind, tmp_path):
    given = options(container(pods[kind])["args"], tmp_path)
    if kind == "CronJob":
        assert given["resume"]  # a pod that was evicted is gone on with
    else:
        (port,) = container(pods[kind])["ports"]
        assert given["port"] == port["containerPort"]
        assert given["host"] == "0.0.0.0"  # noqa: S104  # in a pod, nobody comes by loopback


@KINDS
def test_paths_that_are_written_are_mounted(pods, kind, tmp_path):
    mounts = [mount["mountPath"] for mount in container(pods[kind])["volumeMounts"]]
    given = options(container(pods[kind])["args"], tmp_path)
    cache = given.get("cache_dir") or given["cache"]
    home = next(each for each in container(pods[kind])["env"] if each["name"] == "HOME")["value"]
    for path in (str(cache), home, "/tmp"):  # noqa: S108  # the default of Python
        assert any(path == mount or path.startswith(f"{mount}/") for mount in mounts)


@KINDS
def test_no_pod_may_more_than_it_needs(pods: dict[str, Manifest], kind: str) -> None:
    limits = pods[kind].get("securityContext", {}) | container(pods[kind])["securityContext"]
    assert limits["runAsNonRoot"]
    assert limits["readOnlyRootFilesystem"]
    assert not limits["allowPrivilegeEscalation"]
    assert limits["capabilities"] == {"drop": ["ALL"]}
    assert limits["seccompProfile"] == {"type": "RuntimeDefault"}


@KINDS
def test_variables_are_read_by_something(base, pods, kind):
    given = {each["name"]: each.get("value", "") for each in container(pods[kind]).get("env", [])}
    given |= one(base, "ConfigMap")["data"] if kind != "ServingRuntime" else {}
    helpers = set(re.findall(r"\$\((\w+)\)", " ".join(given.values())))
    assert helpers <= set(given)
    ours = set(re.findall(r'"(CLOCHE_\w+)"', inspect.getsource(serve_module)))
    assert set(given) <= STANDARD | helpers | ours | set(dir(mlflow_variables))


def test_a_pod_may_take_as_long_to_end_as_the_server_does(pods, tmp_path):
    """It drains requests, waits as long for what a host computes, and ends the host in 5 s."""
    sleep = container(pods["Deployment"])["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain = options(container(pods["Deployment"])["args"], tmp_path)["drain_timeout"]
    assert pods["Deployment"]["terminationGracePeriodSeconds"] >= sleep + 2 * drain + 5


def test_everything_that_selects_pods_selects_the_server(base: list[Manifest]) -> None:
    labels = one(base, "Deployment")["spec"]["template"]["metadata"]["labels"]
    monitor = yaml.safe_load((FOLDER / "monitoring" / "podmonitor.yaml").read_text())
    for selector in (
        one(base, "Deployment")["spec"]["selector"]["matchLabels"],
        one(base, "Service")["spec"]["selector"],
        one(base, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        monitor["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= labels.items()
    (named,) = one(base, "NetworkPolicy")["spec"]["podSelector"]["matchExpressions"]
    assert labels[named["key"]] in named["values"]
    target = one(base, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    deployed = one(base, "Deployment")
    assert (target["kind"], target["name"]) == (deployed["kind"], deployed["metadata"]["name"])


def test_the_autoscaler_asks_for_a_metric_that_the_adapter_makes_from_ours(base):
    metrics = Metrics()
    metrics.set_gauges("m", registry_age=0, in_progress=0, waiting=0)
    ours = set(re.findall(r"^(\w+)\{", generate_latest(metrics.registry).decode(), re.MULTILINE))
    (rule,) = yaml.safe_load((FOLDER / "monitoring" / "adapter-rules.yaml").read_text())["rules"][
        "custom"
    ]
    wanted = one(base, "HorizontalPodAutoscaler")["spec"]["metrics"][0]["pods"]["metric"]["name"]
    assert rule["seriesQuery"].partition("{")[0] == wanted
    assert wanted in ours


def test_exit_codes_that_another_try_does_not_change_are_not_tried_again(base):
    rules = one(base, "CronJob")["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    (codes,) = [rule["onExitCodes"]["values"] for rule in rules if rule["action"] == "FailJob"]
    assert codes == [2, 4]  # wrong usage, and rows in quarantine; 1 may be a day that comes late


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_the_job_of_a_rollout_is_valid_and_gives_up_only_where_another_try_changes_nothing(
    version: str, tmp_path: Path
) -> None:
    job = yaml.safe_load((FOLDER / "rollout" / "job.yaml").read_text())
    kubernetes_validate.validate(job, version, strict=True)
    pod = job["spec"]["template"]["spec"]
    assert options(container(pod)["args"], tmp_path)["gradually"]
    (codes,) = [
        rule["onExitCodes"]["values"]
        for rule in job["spec"]["podFailurePolicy"]["rules"]
        if rule["action"] == "FailJob"
    ]
    assert codes == [2, 3]  # wrong usage; refused or aborted. 1 may be another driver
    given = {each["name"] for each in container(pod)["env"]}
    assert given <= STANDARD | set(dir(mlflow_variables))


@pytest.mark.slow
@pytest.mark.breadth
def test_the_server_of_the_deployment_serves_probes_clients_and_prometheus_and_ends_in_order(
    pods: dict[str, Manifest], tmp_path: Path
) -> None:
    registry, of = Registry(tmp_path), container(pods["Deployment"])
    registry.register("", model="flight-delay", promote=True)
    here = {"0.0.0.0": "127.0.0.1", "/cache": str(tmp_path / "cache")}  # noqa: S104
    variables = {"CLIENT_KEYS": "anna,ben", "METRICS_KEY": "prometheus"}
    composed = next(each["value"] for each in of["env"] if each["name"] == "CLOCHE_API_KEYS")
    keys = re.sub(r"\$\((\w+)\)", lambda match: variables[match[1]], composed)
    with serving(
        directory=tmp_path, command=[here.get(each, each) for each in of["args"]],
        environment={"MLFLOW_TRACKING_URI": registry.uri, "CLOCHE_API_KEYS": keys,
                     "CLOCHE_SERVE_PORT": str(free_port())},
    ) as server:  # fmt: skip
        server.wait_until_ready()
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert of[probe]["httpGet"]["port"] == of["ports"][0]["name"]
            url = server.url + of[probe]["httpGet"]["path"]
            assert requests.get(url, timeout=30).status_code == 200
        assert server.predict().status_code == 401
        server.key = "prometheus"
        assert 'cloche_queue_requests{model="flight-delay"}' in server.get("/metrics").text
        answer = server.predict(headers={"Authorization": "Bearer ben"})
        assert answer.json() == {"predictions": [1]}
        assert server.end() == 0


@pytest.mark.slow
@pytest.mark.breadth
def test_the_runtime_of_kserve_serves_a_folder_under_the_name_of_its_service(pods, tmp_path):
    registry, of = Registry(tmp_path), container(pods["ServingRuntime"])
    registry.register("")
    here = {
        "0.0.0.0": "127.0.0.1",  # noqa: S104
        "/tmp/cloche": str(tmp_path / "cache"),  # noqa: S108
        "{{.Name}}=/mnt/models": f"flight-delay={registry.artifacts('1')}",
    }
    with serving(
        directory=tmp_path,
        command=[here.get(each, each) for each in of["args"]],
        environment={"CLOCHE_SERVE_PORT": str(free_port())},
    ) as server:
        server.wait_until_ready()
        assert server.get(of["readinessProbe"]["httpGet"]["path"]).status_code == 200
        tensor = {"name": "a", "datatype": "FP64", "shape": [2], "data": [0.5, 1.5]}
        url = f"{server.url}/v2/models/flight-delay/infer"
        (output,) = requests.post(url, json={"inputs": [tensor]}, timeout=60).json()["outputs"]
        assert output["data"] == [1, 1]
        body = {"instances": [{"a": 0.5}]}
        v1 = requests.post(f"{server.url}/v1/models/flight-delay:predict", json=body, timeout=60)
        assert v1.json() == {"predictions": [1]}


@pytest.mark.slow
@pytest.mark.breadth
def test_the_job_scores_yesterday_and_tells_of_quarantine_by_its_exit_code(
    pods: dict[str, Manifest], flights: Path, job: dict[str, str]
) -> None:
    (flights / "flights" / f"{BAD}.csv").rename(flights / "flights" / f"{yesterday()}.csv")
    of = container(pods["CronJob"])
    here = {"/data": str(flights), "--cache-dir=/cache": f"--cache-dir={flights}/cache"}
    arguments = list(of["args"])
    for there, local in here.items():
        arguments = [each.replace(there, local) for each in arguments]
    zone = {each["name"]: each["value"] for each in of["env"] if each["name"] == "TZ"}
    done = subprocess.run(
        [warm.python(), "-m", "cloche", *arguments],
        env=environment() | {"MLFLOW_TRACKING_URI": job["MLFLOW_TRACKING_URI"]} | zone,
        cwd="/", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 4, done.stdout + done.stderr
    assert (flights / "scores" / f"date={yesterday()}" / "_SUCCESS").exists()
