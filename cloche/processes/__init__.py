"""The start, the environment variables and the end of child processes."""
