"""From a recipe to a scikit-learn pipeline: preprocessing by role, the estimator, and the search for its parameters."""
