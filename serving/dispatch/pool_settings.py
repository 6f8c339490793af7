"""How a generation works: what an operator said of replicas, queue and batches."""

from dataclasses import dataclass

from cloche.serving.queue.batching_queue import BatchLimits, QueueLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """How many replicas a generation has, and what it allows them.

    Attributes:
        replicas: How many.
        load_timeout: Seconds one may take to load.
        predict_timeout: Seconds one may take for a batch.
        host_memory: Bytes after which one is renewed; 0 for never.
        queue: What may wait.
        batches: What is scored at once.
        twin: The digest of the accelerated twin that may answer; empty for none.
    """

    replicas: int
    load_timeout: float
    predict_timeout: float
    queue: QueueLimits
    batches: BatchLimits
    host_memory: int = 0
    twin: str = ""
