"""A job, its options, its parts, and the messages that it prints while it runs."""
