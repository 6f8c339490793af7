"""What training and serving both do with a version: list, fetch, check, and build its environment."""
