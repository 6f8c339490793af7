"""A build whose files were altered says what to do: done, it goes on."""

from pathlib import Path

import pytest

from cloche.serving.image.context import write
from cloche.serving.image.load_check import _load


def test_files_that_are_not_those_that_were_pinned_are_fetched_anew_as_it_is_advised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cloche.serving.host.load.load", lambda *_, **__: None)
    model = tmp_path / "churn"
    model.mkdir()
    (model / "MLmodel").write_text("flavors: {}\n")

    def build(context: str) -> Path:
        write(str(model), tmp_path / context, base="b", cache_directory=tmp_path / "cache")
        return tmp_path / context / "model"

    first = build("first")
    (first / "more").touch()
    assert _load(first) == 1
    assert capsys.readouterr().out.endswith("Run cloche build again, which fetches them anew.\n")
    assert _load(build("second")) == 0
