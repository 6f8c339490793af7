"""What training and serving say alike of stages: how many, none, and the title of a version."""

MOST_STAGES = 8  # before a version
NO_STAGE = "none"  # in place of a stage's URI: the version takes rows that are prepared already


def title(name: str, number: str) -> str:
    """Return `NAME N`, for messages; what is outside the registry has no number."""
    return f"{name} {number}".rstrip()
