"""Checks of model URIs: whether each version can be found, downloaded and run here."""

import itertools
import shlex
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.tracking import MlflowClient

from cloche.registry.env_manager import LOCAL
from cloche.registry.installed_packages import mismatches
from cloche.registry.permissions import explain_refusal
from cloche.registry.stage_fit import Signature, is_known, misfit
from cloche.registry.stage_names import title
from cloche.registry.version_listing import files_of
from cloche.serving.batch.scoring.batch_twin import choose_twin
from cloche.serving.doctor.check_result import CheckResult, fail, ok, warn
from cloche.serving.errors import ServingError
from cloche.serving.registry import uri
from cloche.serving.registry.error_messages import explain
from cloche.serving.registry.resolved_version import ResolvedVersion
from cloche.serving.registry.resolver import Resolver
from cloche.serving.registry.uri import ModelUri
from cloche.serving.settings import Settings

_FILES = ("MLmodel", "requirements.txt", "python_env.yaml")
_EXTRAS = {"boto3": "aws", "botocore": "aws", "google": "gcp"}
# Texts in the errors of an object store → the fix.
_STORE_REFUSALS = {
    ("NoCredentials",): "export AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… (and AWS_ENDPOINT_URL "
    "where it is not AWS)",
    ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken"): "the store "
    "does not know these keys: export AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… that it knows",
    ("AccessDenied", "(403)"): "the store knows these keys and does not let them read: grant "
    "s3:GetObject and s3:ListBucket on the bucket",
    # MLflow accesses Google Cloud Storage anonymously if it finds no credentials.
    ("DefaultCredentialsError", "Anonymous credentials", "Anonymous caller"): "export "
    "GOOGLE_APPLICATION_CREDENTIALS=FILE, or gcloud auth application-default login",
}


def check_versions(settings: Settings, uris: list[ModelUri]) -> Iterator[CheckResult]:
    """Check the version of each URI and its stages: the registry, the artifacts, what runs them."""
    resolver = Resolver(MlflowClient)
    for one in uris:
        check = one.text
        try:
            target = resolver.resolve_with_stages(one)
        except ServingError as error:
            yield fail(check, str(error).removeprefix(f"{check}: "))
            continue
        yield ok(check, f"is version {target.version}" if target.version else "has no version")
        chain = []
        for version in target.with_stages:
            signature = yield from _version(version, settings)
            chain.append((version, signature))
        for (stage, answers), (following, takes) in itertools.pairwise(chain):
            yield _fit(stage, answers, following, takes)


def with_alias(alias: str) -> list[ModelUri]:
    """Return the URIs of the models that `--all` would serve.

    Raises:
        RegistryUnreachable: The registry does not answer.
    """
    names = sorted(Resolver(MlflowClient).versions_with_alias(alias))
    return [uri.with_alias(name, alias) for name in names]


def _version(
    target: ResolvedVersion, settings: Settings
) -> Generator[CheckResult, None, Signature | None]:
    """Check one version, and return its signature; None without one, or if it cannot be read."""
    with TemporaryDirectory(prefix="cloche-doctor-") as folder:
        path = Path(target.artifacts)
        if target.model or not path.is_dir():
            path = Path(folder)
            if (problem := _fetched(target, path)) is not None:
                yield problem
                return None
        yield ok("artifacts", f"of {target.artifacts} can be read")
        if settings.env_manager == LOCAL:
            yield _environment(target, path)
        if settings.accelerate and target.twin:
            yield _twin(target, path)
        signature = Model.load(str(path)).signature if (path / "MLmodel").is_file() else None
        return None if signature is None else signature.to_dict()


def _fit(
    stage: ResolvedVersion, answers: Signature | None, following: ResolvedVersion,
    takes: Signature | None,
) -> CheckResult:  # fmt: skip
    """Check whether what follows a stage takes what the stage answers."""
    before, after = (title(one.name or one.model, one.version) for one in (stage, following))
    if reason := misfit(before, answers, after, takes):
        back = f"cloche rollback {shlex.quote(stage.model)}" if stage.model else "name another"
        return fail("stages", reason, f"{back}, if the stage was moved alone")
    if not is_known(answers, takes):
        return warn(
            "stages",
            f"by their signatures nobody knows whether {after} takes what {before} answers",
            "log both with a signature of named columns, or see whether cloche serve loads them",
        )
    return ok("stages", f"{after} takes what {before} answers")


def _fetched(target: ResolvedVersion, folder: Path) -> CheckResult | None:
    """Download the files that describe how to run a version; return the problem, if any."""
    wanted = [*_FILES, *(["onnx"] if target.twin else [])]
    for name in wanted:
        try:
            if target.model:
                files_of(target.model, target.version).download_artifacts(name, str(folder))
            else:
                mlflow.artifacts.download_artifacts(
                    artifact_uri=f"{target.artifacts}/{name}", dst_path=str(folder)
                )
        except ImportError as error:
            package = (error.name or str(error)).partition(".")[0]
            extra = _EXTRAS.get(package)
            fix = f"pip install 'cloche[{extra}]'" if extra else f"pip install {package}"
            return fail("artifacts", f"of {target.artifacts} need {package}", fix)
        except Exception as error:  # noqa: BLE001  # each store raises its own
            if name == "MLmodel":
                return _unreadable(target, error)
    return None


def _unreadable(target: ResolvedVersion, error: Exception) -> CheckResult:
    reason = (
        explain(error)
        if isinstance(error, MlflowException)
        else explain_refusal(error) or str(error)
    )
    says = f"of {target.artifacts} cannot be read: {reason.strip().partition(chr(10))[0]}"
    if explain_refusal(error):  # its message ends with the fix
        return fail("artifacts", says)
    found = " ".join(f"{type(one).__name__} {one}" for one in _causes(error))
    for words, fix in _STORE_REFUSALS.items():
        if any(one in found for one in words):
            return fail("artifacts", says, fix)
    place = target.artifacts
    if target.model:
        with suppress(MlflowException):  # the storage location is helpful, but not required
            place = MlflowClient().get_model_version_download_uri(target.model, target.version)
    return fail("artifacts", says, f"restore what was at {place}, or promote another version")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Iterate over an error and its causes, as MLflow's own error omits the store's error code."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _environment(target: ResolvedVersion, path: Path) -> CheckResult:
    """Check that this environment has the packages with which the version was logged."""
    named = shlex.quote(target.artifacts)
    fix = f"cloche serve {named} --env-manager uv, or install what it asks for"
    unmet = mismatches(path)
    if unmet:
        return warn("environment", f"is not that of {target.artifacts}: {', '.join(unmet)}", fix)
    return ok("environment", f"is that of {target.artifacts}")


def _twin(target: ResolvedVersion, path: Path) -> CheckResult:
    reasons: list[str] = []
    if choose_twin(path, target.twin, reasons.append):
        return ok("twin", f"of {target.artifacts} may answer")
    reason = " ".join(reasons) or "it is not beside the model."
    if "not installed" in reason:
        return warn("twin", reason, "pip install 'cloche[acceleration]'")
    if not target.model:
        return warn("twin", reason, "serve it with --no-acceleration, or log the model again")
    # Without --version, the command would take the challenger, not the version that serves.
    typed = f"cloche accelerate {shlex.quote(target.model)} --version {target.version}"
    return warn("twin", reason, typed)
