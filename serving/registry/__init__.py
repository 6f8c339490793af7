"""Resolution of model URIs in the MLflow registry, and the download and cache of versions.

The online server imports MLflow's client only here.
"""
