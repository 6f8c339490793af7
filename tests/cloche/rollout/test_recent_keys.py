"""Each caller counts once in a window, and memory stays bounded."""

from cloche.rollout.recent_keys import RecentKeys


def counted(keys, seen):
    return [key for now, key in seen if keys.is_first(key, now)]


def test_a_callers_burst_is_one_event_until_the_next_window():
    seen = [(10, b"a"), (11, b"a"), (40, b"b"), (69.9, b"a"), (70, b"a"), (71, b"a"), (72, b"b")]
    assert counted(RecentKeys(60), seen) == [b"a", b"b", b"a", b"b"]


def test_a_window_without_end_counts_each_caller_once():
    assert counted(RecentKeys(), [(0, b"a"), (1e9, b"a"), (1e9, b"b")]) == [b"a", b"b"]


def test_a_full_filter_begins_a_new_window():
    seen = [(0, b"a"), (1, b"b"), (2, b"a"), (3, b"c"), (4, b"c"), (5, b"a")]
    assert counted(RecentKeys(60, most_keys=2), seen) == [b"a", b"b", b"c", b"a"]
