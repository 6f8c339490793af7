"""The content types of the scoring protocol, by MLflow's rules; messages never quote them."""

from functools import lru_cache

from cloche.serving.host.answers.error_answers import UnsupportedMediaType

JSON = "application/json"
CSV = "text/csv"
PARQUET = "application/vnd.apache.parquet"


@lru_cache(64)
def check(content_type: str) -> str:
    """Validate a content type and return its media type without parameters.

    Raises:
        UnsupportedMediaType: The type, its charset or another parameter is not supported.
    """
    media_type, *parameters = (part.strip() for part in content_type.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name != "charset":
            raise UnsupportedMediaType("charset is the only content type parameter that is taken.")
        if value.lower() != "utf-8":
            raise UnsupportedMediaType("The scoring server only supports UTF-8.")
    if media_type not in (JSON, CSV, PARQUET):
        raise UnsupportedMediaType(f"Send one of these content types: {JSON}, {CSV}, {PARQUET}.")
    return media_type
