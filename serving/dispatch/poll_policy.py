"""When to look at the registry, and whether to load the version that it names. Pure."""

from dataclasses import dataclass

_LONGEST_SECONDS = 60.0  # between two looks, unless the interval is longer
_SHARE = 0.1  # of a server's time, which its looks may take
_JITTER = 0.2


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


@dataclass(frozen=True, slots=True)
class Pace:
    """How often one server looks, so that many of them do not keep their registry from answering.

    A server cannot know how many others there are; but it sees how long the registry takes, and
    looks the less often the longer that is. Without it, a registry with more servers than it can
    answer in time works for questions that nobody waits for any more, and answers none.

    Attributes:
        took: Seconds of the last look, with or without an answer.
        busy: Seconds of the quicker one of the last two: one slow look says little.
    """

    took: float = 0.0
    busy: float = 0.0

    def after(self, seconds: float) -> "Pace":
        """The pace after a look that took so long."""
        return Pace(seconds, min(self.took, seconds))

    def pause(self, interval: float, draw: float) -> float:
        """Seconds until the next look.

        Args:
            interval: Between looks at a registry that answers at once.
            draw: Between 0 and 1, at random: servers that were started together drift apart.
        """
        wanted = max(interval, self.busy * (1 / _SHARE - 1))
        return min(wanted, max(interval, _LONGEST_SECONDS)) * (1 - _JITTER * draw)
