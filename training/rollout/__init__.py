"""What walks a version through its rollout: steps, looks, the end, and the evidence run.

The policy is `cloche.rollout`; the promotion at the end is that of `cloche.training.promotion`.
"""
