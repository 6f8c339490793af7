"""Parts are scored here: worker processes, what they predict, and what becomes of lost ones."""
