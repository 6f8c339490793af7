"""Judges the version that is to be promoted: everything that happens before the first write."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from cloche.registry.env_manager import interpreter
from cloche.registry.stage_chain import ChainMisfit
from cloche.registry.version_digest import digest_tree
from cloche.training.errors import GateRefusal, RegistryError
from cloche.training.gate.candidate_stages import fetch_behind, find_stages
from cloche.training.gate.evidence import GateOutcome, gate_outcome_of
from cloche.training.gate.fetched_version import FetchedVersion, after, fetch, uris
from cloche.training.gate.judge import Judgement, judge
from cloche.training.gate.policy import Policy, carried_policy, load_policy
from cloche.training.names import BEFORE, CHALLENGER
from cloche.training.promotion.promotion_request import PromotionRequest
from cloche.training.promotion.registry import RegisteredModel, find_version
from cloche.values.progress import Say


@dataclass(frozen=True)
class EvaluatedCandidate:
    """A version with the result of the gate.

    Attributes:
        model: The registered model, as it was when the judgement began.
        outcome: Outcome of the judgement, force included.
        digest: Digest of the artifacts that were judged.
    """

    model: RegisteredModel
    version: str
    judgement: Judgement
    outcome: GateOutcome
    digest: str

    @property
    def changes_stage(self) -> bool:
        """Whether the version serves already, and another stage before it was judged."""
        return self.version == self.model.production and self.judgement.production is not None


def chosen_version(model: RegisteredModel, request: PromotionRequest) -> str:
    """Return the number of the version that the request names, or of the challenger.

    A request that names a stage alone, without a challenger, is one for the version that serves.

    Raises:
        RegistryError: The request names no version, and there is no challenger.
    """
    number = request.version or model.challenger
    if number is None and request.before:
        number = model.production
    if number is None:
        known = ", ".join(f"{alias} → {version}" for alias, version in model.aliases.items())
        raise RegistryError(
            f"{model.name} has no {CHALLENGER}, so nothing asks for promotion "
            f"(aliases: {known or 'none'}); train one, or name a version: --version N"
        )
    return number


def evaluate(
    client: MlflowClient, model: RegisteredModel, request: PromotionRequest, say: Say
) -> EvaluatedCandidate:
    """Judge the requested version against the production version, without writing anything.

    Raises:
        NotMeasured: A process of the gate could not do its work.
        GateRefusal: The version does not fit the stages before it.
        RegistryError: The version, its policy or its holdout is not there.
        RecipeError: The policy file is wrong.
        DataError: The holdout cannot be judged on.
        TrainingError: The holdout's target does not fit the task.
    """
    number = chosen_version(model, request)
    with TemporaryDirectory(prefix="cloche-") as folder:
        entry = find_version(client, model.name, number)
        label = f"{model.name} version {number}"
        stages = find_stages(client, stage_before(entry, request), label)
        say(f"fetching {label}{after(stages)}")
        candidate = fetch(entry, _folder(folder, "candidate"))
        policy = _policy(candidate, request)
        # Of the version alone: from here on its folder is that of the chain.
        digest = digest_tree(candidate.folder)
        try:
            candidate = fetch_behind(client, candidate, stages, _folder(folder, "before candidate"))
        except ChainMisfit as misfit:
            raise GateRefusal(
                f"the gate refused {label}: {misfit} To judge another stage: --before URI"
            ) from misfit
        production = None
        if model.production is not None and (number != model.production or request.before):
            serving = find_version(client, model.name, model.production)
            production = _fetch_serving(client, serving, candidate, folder, say)
        judgement = judge(
            client,
            policy,
            candidate,
            production,
            live=None if request.on is None else request.on.partition("?")[2],
            allow_breaking=request.allow_breaking,
            timeout=request.timeout,
            extra_names=request.host_env,
            interpreter=partial(
                interpreter, manager=request.env_manager, cache=request.cache, say=say
            ),
            say=say,
        )
    outcome = gate_outcome_of(judgement, forced=request.force)
    return EvaluatedCandidate(model, number, judgement, outcome, digest)


def stage_before(version: ModelVersion, request: PromotionRequest) -> str:
    """Return the URI of the stage before the judged version; empty or `none` without one."""
    return request.before or version.tags.get(BEFORE, "")


def _fetch_serving(
    client: MlflowClient, serving: ModelVersion, candidate: FetchedVersion, folder: str, say: Say
) -> FetchedVersion | None:
    """Fetch the version that serves, after its stages; None if it is what is judged."""
    label = f"{serving.name} version {serving.version}"
    try:
        stages, problem = find_stages(client, serving.tags.get(BEFORE, ""), label), ""
    except RegistryError as error:
        stages, problem = (), str(error)
    same_version = str(serving.version) == str(candidate.version.version)
    if same_version and not problem and uris(stages) == uris(candidate.stages):
        return None
    say(f"fetching {label}{after(stages)}, which serves now")
    production = fetch(serving, _folder(folder, "production"))
    try:
        production = fetch_behind(client, production, stages, _folder(folder, "before production"))
    except (RegistryError, ChainMisfit) as error:
        problem = str(error)
    return replace(production, misfit=problem)


def _policy(candidate: FetchedVersion, request: PromotionRequest) -> Policy:
    if request.policy is not None:
        return load_policy(request.policy)
    carried = carried_policy(candidate.model.metadata)
    if carried is None:
        raise RegistryError(
            f"{candidate.label} was not trained by Cloche and carries no criteria; "
            "write them to a file and name it: --policy FILE"
        )
    return carried


def _folder(parent: str, name: str) -> Path:
    folder = Path(parent, name)
    folder.mkdir()
    return folder
