"""The page `/docs`: the paths that it shows are those that answer."""

from types import SimpleNamespace

from cloche.serving.openapi.docs_page import page


def test_names_are_quoted_in_paths_and_shown_as_they_are():
    models = [SimpleNamespace(name=name, current=None) for name in ("a b%", "<c>")]
    shown = page(models)
    assert "POST /models/a%20b%25/invocations" in shown
    assert "POST /models/%3Cc%3E/invocations" in shown
    assert "<h2>a b%</h2>" in shown
    assert "<h2>&lt;c&gt;</h2>" in shown
