"""Whether to load the version that the registry names. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Standing:
    """What a served model knows when the registry answers.

    Attributes:
        identity: Of the version that serves; empty while none does.
        refused_revision: Of the version that failed to load last; empty when none did.
    """

    identity: str = ""
    refused_revision: str = ""


def should_load(standing: Standing, identity: str, revision: str) -> bool:
    """Whether the version with this identity and revision is new, and not known to be broken."""
    return identity != standing.identity and revision != standing.refused_revision
