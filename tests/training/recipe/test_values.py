"""Passwords in URLs are seen, and hidden."""

import pytest

from cloche.training.recipe.values import mask


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("postgresql://me:hunter2@db/shop", "postgresql://me:***@db/shop"),
        ("postgresql+psycopg://me:p@ss:word@db/shop", "postgresql+psycopg://me:***@db/shop"),
        ("https://me:hunter2@example.com/t.csv", "https://me:***@example.com/t.csv"),
        ("postgresql://:hunter2@db/shop", "postgresql://:***@db/shop"),
        ("postgresql://me:${DB_PASSWORD}@db/shop", "postgresql://me:${DB_PASSWORD}@db/shop"),
        ("postgresql://me@db:5432/shop", "postgresql://me@db:5432/shop"),
        ("https://example.com:8080/t.csv", "https://example.com:8080/t.csv"),
        ("https://example.com:8080/a@b.csv", "https://example.com:8080/a@b.csv"),
        ("postgresql://me:a/b@c@db/shop", "postgresql://me:***@db/shop"),
        ("sample:flights", "sample:flights"),
        ("data/a:b@c.csv", "data/a:b@c.csv"),
    ],
)
def test_a_password_is_replaced_and_nothing_else(source, shown):
    assert mask(source) == shown
