"""The aliases and tags that Cloche writes to the registry, as listed in docs/registry.md."""

PRODUCTION = "production"
PREVIOUS = "previous"
CHALLENGER = "challenger"

GATE = "cloche.gate"
ACCEPTED = ("passed", "forced")  # the outcomes of the gate with which a version may serve
GATE_RUN = "cloche.gate_run_id"
DIGEST = "cloche.digest"
ACCELERATED = "cloche.accelerated"
ACCELERATED_DIGEST = "cloche.accelerated_digest"
ACCELERATED_REASON = "cloche.accelerated_reason"  # of a run: why there is no twin
PROMOTED_AT = "cloche.promoted_at"
PROMOTED_BY = "cloche.promoted_by"
REASON = "cloche.reason"
TRAINED_UNTIL = "cloche.trained_until"  # of a run on logged rows: when the last one was received
REPLACED_AT = "cloche.replaced_at"
BEFORE = "cloche.before"  # the URI of the stage before the version
BEFORE_PREVIOUS = "cloche.before_previous"  # the stage before it until its stage changed; JSON
STAGES = "cloche.stages"  # of an evidence run: the URIs of the stages that were judged
MONITOR = "cloche.monitor"  # of a registered model: what `cloche monitor` found last; JSON

# In a model's metadata: the key of its gate's policy, and the version of the policy's format.
METADATA = "cloche"
METADATA_SCHEMA = 1

# A tag `cloche.promotion_lock.TOKEN` of the registered model is the lock of the promotion that is
# writing to it; see `cloche.training.promotion.lock`.
LOCK = "cloche.promotion_lock"
