"""Settings that must be in place before anything numerical is imported."""

import os

import hypothesis

pytest_plugins = ["tests.shell", "tests.flavors.saved"]

# As the command does: with several tests at once, spinning OpenMP threads starve each other.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

# A machine that is busy with other tests makes single examples slow; their number is the bound.
hypothesis.settings.register_profile("cloche", deadline=None)
hypothesis.settings.load_profile("cloche")
