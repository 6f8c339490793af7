"""What a job is, what it consists of, and what it tells while it runs."""
