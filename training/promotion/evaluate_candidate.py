"""Judges the version that is to be promoted: everything that happens before the first write."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow import MlflowClient

from cloche.registry.env_manager import interpreter
from cloche.registry.version_digest import digest_tree
from cloche.training.errors import RegistryError
from cloche.training.gate.evidence import GateOutcome, gate_outcome_of
from cloche.training.gate.fetched_version import FetchedVersion, fetch
from cloche.training.gate.judge import Judgement, judge
from cloche.training.gate.policy import Policy, carried_policy, load_policy
from cloche.training.names import CHALLENGER
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


def chosen_version(model: RegisteredModel, request: PromotionRequest) -> str:
    """Return the number of the version that the request names, or of the challenger.

    Raises:
        RegistryError: The request names no version, and there is no challenger.
    """
    number = request.version or model.challenger
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
        RegistryError: The version, its policy or its holdout is not there.
        RecipeError: The policy file is wrong.
        DataError: The holdout cannot be judged on.
        TrainingError: The holdout's target does not fit the task.
    """
    number = chosen_version(model, request)
    with TemporaryDirectory(prefix="cloche-") as folder:
        say(f"fetching {model.name} version {number}")
        candidate = fetch(find_version(client, model.name, number), _folder(folder, "candidate"))
        policy = _policy(candidate, request)
        digest = digest_tree(candidate.folder)
        production = None
        if model.production not in (None, number):
            say(f"fetching {model.name} version {model.production}, which serves now")
            serving = find_version(client, model.name, str(model.production))
            production = fetch(serving, _folder(folder, "production"))
        judgement = judge(
            client,
            policy,
            candidate,
            production,
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
