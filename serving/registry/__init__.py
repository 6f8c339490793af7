"""What asks the MLflow registry which version is served, and fetches it: the only importer of MLflow's client."""
