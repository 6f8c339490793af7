"""The holdout: found with the run that trained the version, and provably the same rows."""

import pytest
from mlflow.models import Model

from cloche.training.errors import DataError, RegistryError
from cloche.training.gate.holdout import fetch_holdout
from cloche.training.gate.measure import _notes
from cloche.training.gate.policy import Policy, carried_policy, load_policy


@pytest.fixture
def carried(client, log_version):
    """A version by Cloche: its policy and its run."""
    version = client.get_model_version("flight-delay", log_version())
    metadata = Model.load(f"models:/flight-delay/{version.version}").metadata
    return carried_policy(metadata), version.run_id


def test_the_carried_rows_come_back_as_they_were(client, carried, holdout):
    found = fetch_holdout(client, *carried)
    assert found.frame.equals(holdout)
    assert found.digest == carried[0].holdout.digest
    assert found.source == f"runs:/{carried[1]}/holdout/holdout.parquet"


def test_rows_that_were_changed_since_are_refused(client, carried, holdout, tmp_path):
    policy, run_id = carried
    changed = tmp_path / "holdout.parquet"
    holdout.assign(late=1).to_parquet(changed)
    client.log_artifact(run_id, str(changed), "holdout")
    said = "is not the one that the version was trained beside.*; train again$"
    with pytest.raises(RegistryError, match=said):
        fetch_holdout(client, policy, run_id)


@pytest.fixture
def policy_of(tmp_path, holdout):
    """Write a table and a policy on it; return the policy."""

    def make(frame, target="late") -> Policy:
        frame.to_csv(tmp_path / "rows.csv", index=False)
        path = tmp_path / "policy.yaml"
        path.write_text(
            f"task: binary\ntarget: {target}\ndata: {{source: '{tmp_path / 'rows.csv'}'}}"
        )
        return load_policy(str(path))

    return make


def test_a_table_without_the_target_cannot_be_judged_on(client, policy_of, holdout):
    with pytest.raises(DataError, match="no column 'delay', the target"):
        fetch_holdout(client, policy_of(holdout, target="delay"), None)


def test_rows_without_a_target_are_left_out_and_counted(client, policy_of, holdout):
    gaps = holdout.assign(late=holdout["late"].where(holdout.index % 6 > 0))
    found = fetch_holdout(client, policy_of(gaps), None)
    assert (len(found.frame), found.without_target) == (500, 100)
    assert found.frame["late"].dtype == "int64"
    (note,) = _notes(found, None, copies=0)
    assert note == ("in the holdout, the target is missing in 100 of 600 rows, which are left out")
