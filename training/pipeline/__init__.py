"""From a recipe to a fitted scikit-learn pipeline: preprocessing, estimator, search."""
