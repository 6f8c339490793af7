"""When to poll the registry, and whether to load the version that it names. Pure."""

from dataclasses import dataclass

_LONGEST_SECONDS = 60.0  # longest pause between two polls, unless the interval is longer
_MOST_TIME_SHARE = 0.1  # the share of a server's time that its polls may take
_JITTER = 0.2


@dataclass(frozen=True, slots=True)
class ServingState:
    """The state of a served model to which the registry's answer is compared.

    Attributes:
        identity: The identity of the version that serves; empty while none does.
        refused_revision: The revision of the version that failed to load last; empty if none did.
    """

    identity: str = ""
    refused_revision: str = ""


def should_load(state: ServingState, identity: str, revision: str) -> bool:
    """Whether the version with this identity and revision is new and has not failed to load."""
    return identity != state.identity and revision != state.refused_revision


@dataclass(frozen=True, slots=True)
class PollPace:
    """The pace at which a server polls, so that many servers do not overload their registry.

    A server cannot know how many others there are, but it measures how long the registry takes, and
    polls less often the longer that is. Otherwise a registry with too many servers would spend its
    time on requests that have timed out already, and answer none.

    Attributes:
        took: The duration of the last poll in seconds, with or without an answer.
        shorter_of_last_two: The shorter of the last two durations: a single slow poll means little.
    """

    took: float = 0.0
    shorter_of_last_two: float = 0.0

    def after(self, seconds: float) -> "PollPace":
        """The pace after a poll that took so long."""
        return PollPace(seconds, min(self.took, seconds))

    def pause(self, interval: float, jitter: float) -> float:
        """The seconds until the next poll.

        Args:
            interval: The seconds between polls of a registry that answers at once.
            jitter: A random number between 0 and 1, which spreads servers that started together.
        """
        wanted = max(interval, self.shorter_of_last_two * (1 / _MOST_TIME_SHARE - 1))
        return min(wanted, max(interval, _LONGEST_SECONDS)) * (1 - _JITTER * jitter)
