"""What training and serving both do with a version: list, fetch, check, build its environment."""
