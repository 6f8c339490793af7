import pytest

from cloche.rollout.counts import RolloutCounts
from cloche.rollout.server_counts import ServerCounts


def test_a_tag_gives_back_what_a_server_wrote():
    counts = RolloutCounts()
    counts.count(5.0, "canary", "requests", 70)
    counts.count(0.5, "production", "failures", 2)
    written = ServerCounts(counts, percent=0.5, shadow_percent=10.0, at=1_780_000_000, run_id="ab")
    read = ServerCounts.parse(written.as_json())
    assert read.counts.of(5.0, "canary", "requests") == 70
    assert read.counts.of(0.5, "production", "failures") == 2
    assert (read.percent, read.shadow_percent, read.at, read.run_id) == (
        0.5, 10.0, 1_780_000_000, "ab"
    )  # fmt: skip


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"counts": 3, "percent": 1}', "1 %"])
def test_another_text_is_refused(text):
    with pytest.raises(ValueError, match="these are no counts of a server"):
        ServerCounts.parse(text)
