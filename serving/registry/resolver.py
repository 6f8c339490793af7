"""Resolution of a model URI to a version, with one call to the registry for each resolution."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from cloche.drivers import install_command
from cloche.registry.stage_names import MOST_STAGES, NO_STAGE
from cloche.registry.version_listing import versions_with_alias
from cloche.registry.version_lookup import ABSENT, registered_version
from cloche.rollout.registry_keys import (
    CANARY,
    CANARY_PERCENT_TAG,
    COUNTS_TAG,
    PLAN_TAG,
    ROLLOUT_TAG,
    RUN_TAG,
    SHADOW_PERCENT_TAG,
)
from cloche.serving.errors import ModelUriError, RegistryUnreachable, VersionRefused
from cloche.serving.host.predictors.twin import ANY
from cloche.serving.registry import version_note
from cloche.serving.registry.counts_tags import counting_servers
from cloche.serving.registry.error_messages import explain
from cloche.serving.registry.names import (
    ACCELERATED_DIGEST_TAG,
    ACCELERATED_TAG,
    BEFORE_TAG,
    DIGEST_TAG,
    OFF,
    ONNX,
    PRODUCTION,
    RETRY_TAG,
)
from cloche.serving.registry.resolved_version import ResolvedVersion
from cloche.serving.registry.uri import ModelUri, Reference, parse, with_alias

_TAG = f"tag {BEFORE_TAG}"
_NOTHING = (
    "no version stands behind it. cloche status lists what is there; cloche promote NAME puts a "
    f"version behind @{PRODUCTION}. Or name the registry that has it in MLFLOW_TRACKING_URI."
)


class Resolver:
    """A registry, connected on the first query: MLflow's client needs a store that exists."""

    def __init__(self, connect: Callable[[], MlflowClient]) -> None:
        self._connect = connect
        self._connected: MlflowClient | None = None
        self._connecting = threading.Lock()

    @property
    def client(self) -> MlflowClient:
        """MLflow's client of the registry, connected on first use."""
        with self._connecting:  # the first client sets up a new store; two at once would collide
            if self._connected is None:
                client = self._connect()
                if not mlflow.get_registry_uri().startswith("http"):  # a server's store exists
                    client.search_registered_models(max_results=1)
                self._connected = client
            return self._connected

    def resolve(self, uri: ModelUri) -> ResolvedVersion:
        """Return the version to which `uri` resolves now, without stages.

        Raises:
            VersionRefused: `uri` resolves to no version.
            RegistryUnreachable: The registry does not answer.
        """
        if uri.reference is Reference.ARTIFACTS:
            return _outside(uri.text)
        with translated_errors(uri.text):
            return _resolved(self._find(uri))

    def resolve_with_stages(self, uri: ModelUri) -> ResolvedVersion:
        """Return the version to which `uri` resolves now, with the stages before it.

        Raises:
            VersionRefused: `uri`, or that of a stage, resolves to no version; or there are too many
                stages, or their tags lead back to one of them.
            RegistryUnreachable: The registry does not answer.
        """
        found = [(uri.name, self.resolve(uri))]  # the model, and then the stages up to the first
        before, source = uri.before or found[0][1].before, "--before" if uri.before else _TAG
        while before not in ("", NO_STAGE):
            following = found[-1][1].artifacts
            try:
                named = parse(before)
                stage = self.resolve(named)
            except (ModelUriError, VersionRefused) as error:
                raise VersionRefused(
                    f"{following}: the stage before it ({source}) cannot be found: {error}"
                ) from error
            way = [version.artifacts for _, version in found] + [stage.artifacts]
            if stage.artifacts in way[:-1]:
                raise VersionRefused(f"{' after '.join(way)}: in a circle. Remove one {_TAG}.")
            if len(found) > MOST_STAGES:
                raise VersionRefused(f"{way[0]} has more than {MOST_STAGES} stages before it.")
            found.append((named.name, stage))
            before, source = stage.before, _TAG
        name, combined = found.pop()
        for following_name, version in reversed(found):
            combined, name = version.after(combined, name), following_name
        return combined

    def find_arm(self, model: str, alias: str) -> ResolvedVersion | None:
        """Return the canary or shadow of a registered model, without stages; None if it has none.

        Raises:
            RegistryUnreachable: The registry does not answer.
        """
        try:
            return self.resolve(with_alias(model, alias))
        except VersionRefused:
            return None

    def end_canary(self, model: str, version: str, state: str) -> None:
        """Tag a version with the end of its rollout, and take the canary's alias from it.

        Raises:
            VersionRefused: There is no such version any more.
            RegistryUnreachable: The registry does not answer, or does not allow this.
        """
        with translated_errors(f"{model} version {version}"):
            self.client.set_model_version_tag(model, version, ROLLOUT_TAG, state)
            canary = self.find_arm(model, CANARY)  # somebody may have moved the alias
            if canary is not None and canary.version == version:
                self.client.delete_registered_model_alias(model, CANARY)

    def versions_with_alias(self, alias: str) -> dict[str, str]:
        """Return the version number with `alias`, by the name of each registered model that has it.

        Raises:
            RegistryUnreachable: The registry does not answer, or cannot list the models.
        """
        with translated_errors(f"the models with alias {alias}"):
            return versions_with_alias(self.client, alias)

    def _find(self, uri: ModelUri) -> ModelVersion:
        found = registered_version(self.client, uri.text)
        if found is None:
            raise VersionRefused(f"{uri.text}: {_NOTHING}")
        return found


@contextmanager
def translated_errors(subject: str) -> Iterator[None]:
    """Translate MLflow's errors in the block, with `subject` at the beginning of their messages.

    Raises:
        VersionRefused: The model or version does not exist.
        RegistryUnreachable: Any other error occurred.
    """
    try:
        yield
    except VersionRefused:
        raise
    except MlflowException as error:
        if error.error_code in ABSENT:
            raise VersionRefused(f"{subject}: {_NOTHING}") from error
        raise RegistryUnreachable(f"{subject}: {explain(error)}") from error
    except ImportError as error:  # of the driver of the registry's database
        raise RegistryUnreachable(
            f"{subject}: the registry needs {error.name}: {install_command(error)}"
        ) from error
    except Exception as error:
        reason = str(error).partition("\n")[0]  # a database error continues with its SQL
        raise RegistryUnreachable(f"{subject}: {type(error).__name__}: {reason}") from error


def _outside(artifacts: str) -> ResolvedVersion:
    """Return the version of artifacts outside the registry, by the note beside them if any."""
    if not urlsplit(artifacts).scheme and not Path(artifacts).is_dir():
        raise VersionRefused(f"{artifacts}: there is no such folder any more.")
    note = version_note.read(Path(artifacts))
    if note is None:
        return ResolvedVersion("", artifacts, artifacts, artifacts, twin=ANY)
    identity = "/".join([note.name, note.version, note.digest, note.twin])
    return ResolvedVersion(
        note.version, artifacts, identity, identity, note.digest, note.twin, retry=note.retry
    )


def _resolved(found: ModelVersion) -> ResolvedVersion:
    tags = dict(found.tags)
    accelerated = tags.get(ACCELERATED_TAG) == ONNX
    twin = tags.get(ACCELERATED_DIGEST_TAG, "") if accelerated else ""
    # The twin is part of the identity, so a version that receives a twin is loaded again.
    identity = "/".join([found.name, str(found.version), str(found.creation_timestamp), twin])
    # Counts change every few seconds, and nothing is to be tried again for that.
    steady = sorted(item for item in tags.items() if not item[0].startswith(COUNTS_TAG))
    changing = json.dumps([identity, steady, sorted(found.aliases)])
    return ResolvedVersion(
        version=str(found.version),
        artifacts=f"models:/{found.name}/{found.version}",
        identity=identity,
        revision=hashlib.sha256(changing.encode()).hexdigest(),
        digest=tags.get(DIGEST_TAG, ""),
        twin=twin,
        model=found.name,
        retry=tags.get(RETRY_TAG) != OFF,
        before=tags.get(BEFORE_TAG, "").strip(),
        canary_percent=tags.get(CANARY_PERCENT_TAG, ""),
        shadow_percent=tags.get(SHADOW_PERCENT_TAG, ""),
        rollout=tags.get(ROLLOUT_TAG, ""),
        rollout_plan=tags.get(PLAN_TAG, ""),
        rollout_run_id=tags.get(RUN_TAG, ""),
        counting_servers=counting_servers(tags, tags.get(RUN_TAG, "")),
    )
