import pytest

from serving.front.following import Standing, should_load


@pytest.mark.parametrize(
    ("standing", "loads"),
    [
        (Standing(), True),
        (Standing(identity="m/1"), True),
        (Standing(identity="m/2"), False),
        (Standing(identity="m/1", refused_revision="r2"), False),
        (Standing(identity="m/1", refused_revision="r1"), True),
    ],
)
def test_a_version_is_loaded_when_it_is_new_and_not_known_to_be_broken(
    standing: Standing, loads: bool
) -> None:
    assert should_load(standing, identity="m/2", revision="r2") is loads
