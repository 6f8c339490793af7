"""What a version carries: signature, requirements, trusted types, reference profile."""
