"""Names of the aliases, tags and artifacts that Cloche uses in the registry.

Together with MLflow and those of rollouts (`cloche/rollout/registry_keys.py`), these names are the
whole interface between training and serving.
"""

PRODUCTION = "production"
DIGEST_TAG = "cloche.digest"
ACCELERATED_TAG = "cloche.accelerated"
ACCELERATED_DIGEST_TAG = "cloche.accelerated_digest"
ONNX = "onnx"
RETRY_TAG = "cloche.retry"
BEFORE_TAG = "cloche.before"  # the URI of the stage before the model
OFF = "off"
GATE_TAG = "cloche.gate"
GATE_RUN_TAG = "cloche.gate_run_id"
PROMOTED_AT_TAG = "cloche.promoted_at"
PROMOTED_BY_TAG = "cloche.promoted_by"
REASON_TAG = "cloche.reason"
MONITOR_TAG = "cloche.monitor"  # of the registered model
MONITOR_DOCUMENT = "monitor.json"  # the artifact of the run that MONITOR_TAG names
EVIDENCE = "evidence.json"  # the artifact of the run that GATE_RUN_TAG names
