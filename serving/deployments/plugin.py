"""The plugin that MLflow loads for `-t cloche`: a deployment client, `run_local`, `target_help`.

A deployment is a registered model whose alias a server follows. To create, update or delete a
deployment is to move or remove this alias: the registry alone determines which version is served.
"""

import shlex
from collections.abc import Mapping
from typing import Any

from mlflow.deployments import BaseDeploymentClient, PredictionsResponse
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, RESOURCE_DOES_NOT_EXIST

from cloche.serving.deployments import command
from cloche.serving.deployments.payload import encode
from cloche.serving.deployments.server import ServerProcess, State
from cloche.serving.deployments.target import DeploymentOptions, followed, server_url
from cloche.serving.deployments.versions import Versions
from cloche.serving.registry.names import PRODUCTION

FLAVOR = "python_function"

_HELP = """\
Targets
  cloche                     the server at http://127.0.0.1:8080
  cloche:/http://HOST:PORT   another one; its key, if it has keys, in
                             CLOCHE_API_KEY

A deployment is a registered model whose alias a running server follows. Start
one with cloche serve --all, or with cloche serve models:/NAME@production.
The registry is the one that MLflow uses.

  create, update   put the version behind -m into production through the gate,
                   as cloche promote does, and wait until the server serves it;
                   other aliases move without the gate
  delete           takes the alias away; a server that was started with --all
                   serves the model no more
  get, list        what the registry says, beside what the server says
  predict          asks the server
  run-local        serves in the foreground; -C port=8081 and so on are the
                   options of cloche serve

The name of a deployment is that of its registered model. A model that is in no
registry yet, like runs:/RUN/model, becomes a version of it.

Config (-C NAME=VALUE) of create and update; delete takes the first two
  alias=ALIAS              which alias moves; by default the one that the server
                           follows
  wait=SECONDS             how long the server may take (300); 0 only moves
                           the alias
  policy=FILE              the gate's criteria, for a version that Cloche did
                           not train
  allow_breaking=true      accept a changed signature
  force=true reason=TEXT   overrule the gate
"""


def target_help() -> str:
    """Return the text that `mlflow deployments help -t cloche` prints."""
    return _HELP


def run_local(
    name: str, model_uri: str, flavor: str | None = None, config: Mapping[str, Any] | None = None
) -> None:
    """Serve a model in the foreground.

    Args:
        name: The name under which the model is served.
        model_uri: The model URI.
        flavor: None, or the name of the pyfunc flavor.
        config: The options of `cloche serve`, without the leading `--`.

    Raises:
        MlflowException: The server ended with an error, or the flavor is another one.
    """
    _check_flavor(flavor)
    options: list[str] = []
    for key, value in (config or {}).items():
        text = str(value)
        flag = f"--{key.replace('_', '-')}"
        if text.lower() == "true":
            options.append(flag)
        elif text.lower() != "false":
            options += [flag, text]
    command.serve([f"{name}={model_uri}", *options])


class ClocheDeployments(BaseDeploymentClient):
    """The deployment client of one server and of the registry that MLflow is set to use."""

    def __init__(self, target_uri: str) -> None:
        super().__init__(target_uri)  # type: ignore[no-untyped-call]  # MLflow has no types here
        self._server = ServerProcess(server_url(target_uri))
        self._versions = Versions()

    def create_deployment(
        self,
        name: str,
        model_uri: str,
        flavor: str | None = None,
        config: Mapping[str, Any] | None = None,
        endpoint: str | None = None,
    ) -> dict[str, Any]:
        """Put a version into production, and wait until the server serves it.

        Raises:
            MlflowException: The deployment exists already, the gate refused the version, or the
                server does not serve it within the timeout.
        """
        options, alias = self._read(name, flavor, config, endpoint)
        if (version := self._versions.deployed(name, alias)) is not None:
            raise MlflowException(
                f"{name} is deployed already, with version {version} as {alias}. Move it with "
                f"`{self._typed('update', name)}`.",
                error_code=RESOURCE_ALREADY_EXISTS,
            )
        return self._deploy(name, model_uri, alias, options)

    def update_deployment(
        self,
        name: str,
        model_uri: str | None = None,
        flavor: str | None = None,
        config: Mapping[str, Any] | None = None,
        endpoint: str | None = None,
    ) -> dict[str, Any]:
        """Put another version into production, and wait until the server serves it.

        Raises:
            MlflowException: The deployment does not exist, the gate refused the version, or the
                server does not serve it within the timeout.
        """
        options, alias = self._read(name, flavor, config, endpoint)
        if model_uri is None:
            raise MlflowException.invalid_parameter_value(
                f"Say which version: -m {shlex.quote(f'models:/{name}/N')}. Nothing else of a "
                "deployment can change."
            )
        if self._versions.deployed(name, alias) is None:
            raise self._absent(name, alias)
        return self._deploy(name, model_uri, alias, options)

    def delete_deployment(
        self, name: str, config: Mapping[str, Any] | None = None, endpoint: str | None = None
    ) -> None:
        """Remove the alias, if it exists.

        Raises:
            MlflowException: The server still serves the model after the timeout.
        """
        options, alias = self._read(name, None, config, endpoint)
        self._versions.remove(name, alias)
        # A server that was started with the model's URI, not with --all, keeps its last version.
        if options.wait and self._server.state().get("follows") == alias:
            self._server.wait_for(name, None, options.wait)

    def list_deployments(self, endpoint: str | None = None) -> list[dict[str, Any]]:
        """Describe every model that the server serves or that has the alias in the registry."""
        _check_endpoint(endpoint)
        state, problem = self._look()
        alias = state.get("follows") or PRODUCTION
        names = {*self._versions.names(alias), *state["models"]}
        return [self._describe(name, state, problem) for name in sorted(names)]

    def get_deployment(self, name: str, endpoint: str | None = None) -> dict[str, Any]:
        """Describe one deployment by the state of the registry and of the server.

        Raises:
            MlflowException: The deployment does not exist.
        """
        _check_endpoint(endpoint)
        found = self._describe(name, *self._look())
        if found["version"] is None and found["serving"] is None:
            raise self._absent(name, found["alias"] or PRODUCTION)
        return found

    def predict(
        self, deployment_name: str | None = None, inputs: Any = None, endpoint: str | None = None
    ) -> PredictionsResponse:
        """Request predictions from the server; see `payload.encode` for the forms of `inputs`.

        Raises:
            MlflowException: The server refuses the inputs, or does not answer.
        """
        _check_endpoint(endpoint)
        if deployment_name is None:
            raise MlflowException.invalid_parameter_value(
                "Which deployment is asked is not said: give deployment_name=NAME."
            )
        answer = self._server.predict(deployment_name, encode(inputs))
        response: PredictionsResponse = PredictionsResponse.from_json(answer)  # type: ignore[no-untyped-call]
        return response

    def _read(
        self,
        name: str,
        flavor: str | None,
        config: Mapping[str, Any] | None,
        endpoint: str | None,
    ) -> tuple[DeploymentOptions, str]:
        """Return the options and the alias to move, after a check of all arguments.

        Raises:
            MlflowException: An argument is invalid, or the server follows another alias.
        """
        _check_flavor(flavor)
        _check_endpoint(endpoint)
        options = DeploymentOptions.read(config)
        if not options.wait:
            return options, options.alias or PRODUCTION
        state = self._server.state()
        alias = followed(state, name)
        if alias is None:
            serves = ", ".join(state["models"]) or "nothing"
            raise MlflowException.invalid_parameter_value(
                f"The server at {self._server.url} follows no alias of {name}; it serves {serves}. "
                f"Start it with --all or with models:/{name}@production, or only move the alias: "
                "-C wait=0"
            )
        if options.alias not in (None, alias):
            raise MlflowException.invalid_parameter_value(
                f"The server at {self._server.url} follows {name}@{alias}, and not "
                f"@{options.alias}. Name another server, or only move the alias: -C wait=0"
            )
        return options, alias

    def _deploy(
        self, name: str, uri: str, alias: str, options: DeploymentOptions
    ) -> dict[str, Any]:
        version = self._versions.find(name, uri)
        if alias == PRODUCTION:
            command.promote(name, version, options)
        else:
            self._versions.move(name, alias, version)
        if not options.wait:
            return self._describe(name, *self._look())
        return self._describe(name, self._server.wait_for(name, version, options.wait))

    def _look(self) -> tuple[State, str | None]:
        """Return the server's state and None; if it does not answer, no models and the error."""
        try:
            return self._server.state(), None
        except MlflowException as error:
            return {"models": {}}, error.message

    def _describe(self, name: str, state: State, problem: str | None = None) -> dict[str, Any]:
        model = state["models"].get(name, {})
        alias = followed(state, name) if model else state.get("follows") or PRODUCTION
        return {
            "name": name,
            "flavor": FLAVOR,
            "alias": alias,
            "version": self._versions.deployed(name, alias) if alias else None,
            "serving": model.get("version"),
            "ready": model.get("ready", False),
            "predictor": model.get("predictor"),
            "problem": model.get("problem") or problem,
            "url": f"{self._server.url}/models/{name}/invocations",
        }

    def _absent(self, name: str, alias: str) -> MlflowException:
        return MlflowException(
            f"There is no deployment {name}: no version of it is {alias}. Make one with "
            f"`{self._typed('create', name)}`.",
            error_code=RESOURCE_DOES_NOT_EXIST,
        )

    def _typed(self, verb: str, name: str) -> str:
        """A command of MLflow's for this target; N stands for the version."""
        words = ["-t", self.target_uri, "--name", name, "-m", f"models:/{name}/N"]
        return f"mlflow deployments {verb} {shlex.join(words)}"


def _check_flavor(flavor: str | None) -> None:
    if flavor not in (None, FLAVOR, "pyfunc"):
        raise MlflowException.invalid_parameter_value(
            f"flavor {flavor!r}: Cloche serves every model by {FLAVOR}; leave the flavor out."
        )


def _check_endpoint(endpoint: str | None) -> None:
    if endpoint is not None:
        raise MlflowException.invalid_parameter_value(
            "Deployments of Cloche have no endpoints: leave --endpoint out, and give --name NAME."
        )
