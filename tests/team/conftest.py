"""A team's deployment, started once: everything is asked by its environment variables alone."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clouds.aws import REGION, moto
from tests.shell import Shell
from tests.team.services import Tracking, postgres

MODEL = "breast-cancer"
BUCKET = "models"
PASSWORDS = {"alice": "what only alice knows", "reader": "what the reader knows"}


@dataclass
class Team:
    """The deployment, with one version of MODEL in production and another beside it.

    Attributes:
        tracking: The MLflow server.
        variables: All that `cloche` needs to know of it.
        rows: The rows of a request, as MLflow's `dataframe_split`.
    """

    tracking: Tracking
    variables: dict[str, str]
    rows: dict

    def as_user(self, name: str, password: str = "") -> dict[str, str]:
        return {
            **self.variables,
            "MLFLOW_TRACKING_USERNAME": name,
            "MLFLOW_TRACKING_PASSWORD": password or PASSWORDS[name],
        }


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory, folder: Path, shell: Shell) -> Iterator[Team]:
    with ExitStack() as stack:
        database, aws = stack.enter_context(postgres()), stack.enter_context(moto())
        aws.client("s3").create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        tracking = Tracking(
            tmp_path_factory.mktemp("tracking"), database, f"s3://{BUCKET}/artifacts", aws.variables
        )
        stack.callback(tracking.stop)
        tracking.start()
        for name, password in PASSWORDS.items():
            tracking.add_user(name, password)
        variables = {"MLFLOW_TRACKING_URI": tracking.url, "XDG_CACHE_HOME": str(folder / "cache")}
        found = Team(tracking, variables, {})
        alice = found.as_user("alice")
        shell(f"cloche train {MODEL}", **alice)
        shell(f"cloche promote {MODEL}", **alice)
        shell(ANOTHER_VERSION, **alice)
        shell("cloche sample breast_cancer --without-target rows.csv")
        example = shell(
            "python -c \"import pandas, json; print(json.dumps(pandas.read_csv('rows.csv', nrows=2)"
            ".to_dict('split', index=False)))\""
        )
        found.rows = json.loads(example.stdout)
        yield found


# The same artifacts again: what is tested is how versions move, not how they differ.
ANOTHER_VERSION = f"""python -c "
import mlflow
first = mlflow.MlflowClient().get_model_version('{MODEL}', '1')
mlflow.register_model(first.source, '{MODEL}')
"
"""
