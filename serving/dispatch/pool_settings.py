"""The settings of a version pool: its replicas, queue and batches."""

from dataclasses import dataclass

from cloche.serving.queue.batching_queue import BatchLimits, QueueLimits
from cloche.serving.spool.log_plan import LogPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """The number of replicas of a version pool, and their limits.

    Attributes:
        load_timeout: The time limit for loading a replica, in seconds.
        predict_timeout: The time limit for a batch, in seconds.
        host_memory: The memory in bytes above which a replica is renewed; 0 for no limit.
        low_priority: Whether the hosts yield to all others, because nobody waits for their answers.
        twin: The digest of the accelerated twin that may answer; empty for none.
        as_stage: Whether the version answers with tables for the next version of a staged pool.
        log: Where and what its hosts log; None for nothing.
    """

    replicas: int
    load_timeout: float
    predict_timeout: float
    queue: QueueLimits
    batches: BatchLimits
    host_memory: int = 0
    low_priority: bool = False
    twin: str = ""
    as_stage: bool = False
    log: LogPlan | None = None
