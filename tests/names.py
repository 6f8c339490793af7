"""Names that MLflow takes for a registered model, and that URIs, filters and pages stumble over."""

ODD = (
    "plain", "Plain", "pl%61in", "a%2fb", "%", "%%s", "a#b", "a?b=c", "a b", " lead", "trail ",
    "a+b#c", "a+b#c@x",
    "a.b", "한국어", "é", "e\u0301", "😀", "it's", 'say "x"', "it's \"both\"", "<i>x", "a&b;c",
    "two\nlines", "a\tb", "a@b", "a@production", "a=b", "name 1", "latest", "m-0123", "invocations",
    "health", "metrics", "versions", "a\\b", "a--b", "{x}", "$HOME", "[red]x", "\u202eabc",
    "l" * 250,
)  # fmt: skip
# one for each way in which a name was read as something else
FEW = (
    "plain", "pl%61in", "a%2fb", "a+b#c@x", "a?b=c", " lead", "한국어", "it's \"both\"",
    "two\nlines", "a@production", "invocations", "l" * 250,
)  # fmt: skip
