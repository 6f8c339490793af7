"""The rollout of a model's challenger, for Airflow 3.3 or later: gate, shares, production.

Start it when a version is trained, with the model as a parameter. A task that is killed or times
out is tried again and goes on at the same step, since all state of a rollout is in the registry.
When the gate refuses or the rollout is aborted, production stays as it is, and the task is skipped
with what follows it. Airflow variables say where things are:

    cloche               path of the command                /srv/cloche/bin/cloche
    mlflow_tracking_uri  where the registry is              http://127.0.0.1:5000
"""

from datetime import timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Param

ABORTED = 3  # the exit code of a gate that refused, and of a rollout that was aborted

with DAG(
    "roll_out",
    schedule=None,
    catchup=False,
    params={"model": Param("flight-delay", type="string")},
    doc_md=__doc__,
):
    BashOperator(
        task_id="roll_out",
        bash_command='exec "$CLOCHE" promote "$MODEL" --gradually',
        env={
            "CLOCHE": "{{ var.value.get('cloche', '/srv/cloche/bin/cloche') }}",
            "MODEL": "{{ params.model }}",
            "MLFLOW_TRACKING_URI": (
                "{{ var.value.get('mlflow_tracking_uri', 'http://127.0.0.1:5000') }}"
            ),
        },
        append_env=True,
        skip_on_exit_code=ABORTED,
        execution_timeout=timedelta(days=2),
        retries=20,
        retry_delay=timedelta(minutes=1),
    )
