"""The models of the measurements: trained once, each into a registry of its own, and kept."""
