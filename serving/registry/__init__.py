"""What asks the MLflow registry which version is served, and fetches it.

The only importer of MLflow's client.
"""
