"""How good a model is, in numbers: metrics, their intervals, and parts of the holdout."""
