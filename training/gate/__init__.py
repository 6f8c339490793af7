"""The gate: criteria, measurements, the decision, and its evidence."""
