"""The gate: measures versions, decides by the criteria of a policy, and writes the evidence."""
