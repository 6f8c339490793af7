"""Who gets the canary is stable, monotone in the share, and uniform for keys of any kind."""

import subprocess
import sys
from hashlib import blake2b
from itertools import product
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare

from cloche.rollout.assignment import position, takes_canary

KEYS = 100_000
PERCENT = st.floats(0, 100)
breadth = pytest.mark.breadth


def numbers() -> list[bytes]:
    return [str(number).encode() for number in range(KEYS)]


def uuids() -> list[bytes]:
    digests = (blake2b(number, digest_size=16).digest() for number in numbers())
    return [str(UUID(bytes=digest, version=4)).encode() for digest in digests]


def addresses() -> list[bytes]:
    return [f"user.{number:05}@example.com".encode() for number in range(KEYS)]


def korean_names() -> list[bytes]:
    family, given_names = "김이박최정강조윤장임", "가나다라마바사아자차민서준우지현수영진호"
    names = product(
        family, given_names, given_names, "가나다라마바사아자차카타파하거너더러머버어저처커터"
    )
    return ["".join(name).encode() for name in names][:KEYS]


@given(st.binary(), PERCENT, PERCENT)
def test_who_has_the_canary_keeps_it_while_the_share_grows(key, one, other):
    low, high = sorted([one, other])
    assert takes_canary("m", "2", key, low) <= takes_canary("m", "2", key, high)


@given(st.text(), st.integers(1, 9999).map(str), st.binary())
def test_nobody_has_the_canary_at_0_percent_and_everybody_at_100(model, version, key):
    assert not takes_canary(model, version, key, 0)
    assert takes_canary(model, version, key, 100)


@pytest.mark.parametrize(
    "keys",
    [numbers, *(pytest.param(one, marks=breadth) for one in (uuids, addresses, korean_names))],
)
def test_a_share_gets_its_part_of_keys_of_any_kind(keys):
    cells = [0] * 200
    for key in keys():
        cells[int(position("flight-delay", "7", key) * 2)] += 1
    assert sum(cells) == KEYS
    assert chisquare(cells).pvalue > 0.001


@pytest.mark.parametrize("other", [("flight-delay", "8"), ("credit", "7")])
def test_each_version_of_each_model_has_callers_of_its_own(other):
    table = [[0, 0], [0, 0]]
    for key in numbers()[:20_000]:
        one = takes_canary("flight-delay", "7", key, 25)
        table[one][takes_canary(*other, key, 25)] += 1
    assert chi2_contingency(table).pvalue > 0.001


def test_shares_of_a_hundred_thousandth_are_kept():
    found = sum(takes_canary("m", "2", key, 0.02) for key in numbers())
    assert 8 <= found <= 36  # 20 are expected


def test_every_process_and_every_release_decides_the_same():
    script = (
        "from cloche.rollout.assignment import takes_canary as t\n"
        "print([n for n in range(200) if t('flight-delay', '7', str(n).encode(), 5)])"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONHASHSEED": "1"},
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert found == "[4, 20, 54, 142, 190]\n"
