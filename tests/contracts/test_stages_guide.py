"""The sessions of docs/stages.md run, and print what the document shows."""

import re
from pathlib import Path

import pytest

from tests import apart
from tests.contracts.test_readme import ROOT
from tests.shell import Shell

GUIDE = (ROOT / "docs" / "stages.md").read_text(encoding="utf-8")
SESSION = re.compile(r"^```bash\n(.*?)^```(?:.*?)^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILTER, FEATURES = SESSION.findall(GUIDE)


def shown(text: str) -> set[str]:
    """The lines of a text without what differs from run to run."""
    return {re.sub(r"\d[\d.e-]*", "0", line).strip() for line in text.splitlines()}


@pytest.mark.slow
@pytest.mark.breadth
@pytest.mark.xdist_group("features")
@pytest.mark.timeout(1500)  # of which most is environments and imports
@pytest.mark.parametrize("session", [FILTER, FEATURES], ids=["filter", "features"])
def test_a_session_prints_what_the_guide_shows(
    session: tuple[str, str], shell: Shell, folder: Path
) -> None:
    if session is FEATURES:
        apart.programs("feast")  # so that its packages are in the cache of uv
    commands, output = session
    caches = {"XDG_CACHE_HOME": str(folder / "cache"), "UV_CACHE_DIR": str(apart.UV_CACHE)}
    said = shell(commands, CLOCHE=str(ROOT), **caches)
    assert shown(output) <= shown(said.stdout)
