"""What a version carries beside its estimator: signature, requirements, trusted types, reference profile."""
