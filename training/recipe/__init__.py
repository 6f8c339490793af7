"""The recipe: what to train, as a YAML file that data scientists write, and the shipped recipes."""
