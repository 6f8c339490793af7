"""Simulated rollouts, judged by the server's own policy, and the tables that they make."""
