"""The aliases and tags that Cloche writes to the registry, as listed in docs/registry.md."""

PRODUCTION = "production"
PREVIOUS = "previous"
CHALLENGER = "challenger"

GATE = "cloche.gate"
GATE_RUN = "cloche.gate_run_id"
DIGEST = "cloche.digest"
ACCELERATED = "cloche.accelerated"
ACCELERATED_DIGEST = "cloche.accelerated_digest"
ACCELERATED_REASON = "cloche.accelerated_reason"  # of a run: why there is no twin
PROMOTED_AT = "cloche.promoted_at"
PROMOTED_BY = "cloche.promoted_by"
REASON = "cloche.reason"
REPLACED_AT = "cloche.replaced_at"

# In a model's metadata: the key of its gate's policy, and the version of the policy's format.
METADATA = "cloche"
METADATA_SCHEMA = 1

# A tag `cloche.promotion_lock.TOKEN` of the registered model is the lock of the promotion that is
# writing to it; see `cloche.training.promotion.lock`.
LOCK = "cloche.promotion_lock"
