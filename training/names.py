"""The aliases and tags that the registry holds for Cloche, as docs/registry.md lists them."""

PRODUCTION = "production"
PREVIOUS = "previous"
CHALLENGER = "challenger"

GATE = "cloche.gate"
GATE_RUN = "cloche.gate_run_id"
DIGEST = "cloche.digest"
ACCELERATED = "cloche.accelerated"
ACCELERATED_DIGEST = "cloche.accelerated_digest"
PROMOTED_AT = "cloche.promoted_at"
PROMOTED_BY = "cloche.promoted_by"
REASON = "cloche.reason"
REPLACED_AT = "cloche.replaced_at"

# In a model's metadata: the policy of its gate, and the form that it has.
METADATA = "cloche"
METADATA_SCHEMA = 1

# On the registered model: `cloche.promotion_lock.TOKEN` says who is writing to it now, see
# `cloche.training.promotion.lock`.
LOCK = "cloche.promotion_lock"
