"""The arms of a model that live requests can reach: production, and a canary beside it.

How one version is loaded and scores is `dispatch`, which knows nothing of arms; the statistics are
`cloche.rollout`.
"""
