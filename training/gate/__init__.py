"""The gate: criteria, measurements, the decision, and the evidence of it."""
