"""What the registry knows of a model beside its version: its history, rollout and monitoring.

All of it is for people and metrics; which version is served does not depend on it.
"""
