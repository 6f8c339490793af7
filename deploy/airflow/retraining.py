"""The loop of a model: quality, and after an alarm training, gate and rollout, for Airflow 3.3.

What is done is written in the script `retrain`. A run after an alarm that no new version answered,
because the gate refused it or a training was put off, is skipped: its log says why. Airflow
variables say where things are:

    retrain              path of the script `retrain`       /srv/flights/retrain
    cloche               path of the command                /srv/cloche/bin/cloche
    cloche_log           where predictions are logged       (the model's tag)
    mlflow_tracking_uri  where the registry is              http://127.0.0.1:5000
"""

from datetime import timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Param

UNANSWERED = [3, 5]  # the gate refused or a rollout was aborted; a training was put off


def variable(name: str, default: str) -> str:
    """A template, so that no variable is looked up each time the scheduler reads this file."""
    return f"{{{{ var.value.get('{name}', '{default}') }}}}"


with DAG(
    "retrain",
    schedule="0 6 * * *",
    catchup=False,
    max_active_runs=1,
    params={
        "model": Param("flight-delay", type="string"),
        "recipe": Param("flights", type="string"),
    },
    doc_md=__doc__,
):
    BashOperator(
        task_id="retrain",
        bash_command='exec "$RETRAIN"',
        env={
            "RETRAIN": variable("retrain", "/srv/flights/retrain"),
            "CLOCHE": variable("cloche", "/srv/cloche/bin/cloche"),
            "CLOCHE_LOG": variable("cloche_log", ""),
            "MODEL": "{{ params.model }}",
            "RECIPE": "{{ params.recipe }}",
            "MLFLOW_TRACKING_URI": variable("mlflow_tracking_uri", "http://127.0.0.1:5000"),
        },
        append_env=True,
        skip_on_exit_code=UNANSWERED,
        execution_timeout=timedelta(days=2),
    )
