"""Aliases and tags by which a rollout is steered and followed in the registry, by both sides."""

CANARY, SHADOW = "canary", "shadow"  # the aliases, and the names of the arms
CANARY_PERCENT_TAG = "cloche.canary_percent"  # the share of the callers that a canary answers
SHADOW_PERCENT_TAG = "cloche.shadow_percent"  # of the requests, whose copies a shadow answers
ROLLOUT_TAG = "cloche.rollout"  # the state of a version's rollout: one of these words and a reason
RUNNING, HOLDING, PAUSED = "running", "holding", "paused"
ABORTED, PROMOTED = "aborted", "promoted"  # the end
PASSED = "passed"  # the end of a shadow alone
ACTIVE = (RUNNING, HOLDING, PAUSED)
STEP_TAG = "cloche.rollout_step"  # the step, since when, and the production beside it; JSON
DRIVER_TAG = "cloche.rollout_driver"  # the lease of whoever drives the rollout; JSON
PLAN_TAG = "cloche.rollout_plan"  # the plan of a rollout, as JSON
RUN_TAG = "cloche.rollout_run_id"  # the MLflow run with the evidence
COUNTS_TAG = "cloche.rollout_counts."  # and the name of the server that counted
