"""Opens object stores of pyarrow and fsspec, and says what to do about their errors.

Stores are configured by their usual environment variables.
"""

import pyarrow as pa
from pyarrow import fs

# Words in errors of stores → advice. Arrow passes on the store's message without an error code.
_ADVICE = {
    ("NO_SUCH_BUCKET", "NoSuchBucket", "ContainerNotFound", "bucket does not exist"): (
        "Make the bucket first, or correct its name."
    ),
    ("configured region", "PermanentRedirect", "status 301"): (
        "Set AWS_REGION to the region of the bucket."
    ),
    ("ACCESS_DENIED", "Forbidden", "PERMISSION_DENIED", "AuthorizationFailure", "status 403",
     "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH", "UNAUTHENTICATED", "status 401"): (
        # Some responses to HEAD have no body, so bad credentials look like missing permissions.
        "The credentials (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or those of another cloud) "
        "must be ones that the store knows, and be allowed to list the bucket, and to get, put and "
        "delete objects there (s3:ListBucket, s3:GetObject, s3:PutObject, s3:DeleteObject)."
    ),
    ("NETWORK_CONNECTION", "UNAVAILABLE", "Could not connect", "curlCode"): (
        "The store cannot be reached; for one that is not the cloud's own, AWS_ENDPOINT_URL names "
        "it."
    ),
}  # fmt: skip


class StoreUnknown(ValueError):
    """The kind of a store is unknown, or its library is not installed."""


def open_store(uri: str) -> tuple[fs.FileSystem, str]:
    """Return the file system and path of a URI without globs, but maybe with `?region=eu-west-1`.

    Raises:
        StoreUnknown: The kind of store is unknown, or its library is not installed.
        OSError: The store does not answer.
    """
    try:
        found: tuple[fs.FileSystem, str] = fs.FileSystem.from_uri(uri)
    except (pa.ArrowInvalid, ValueError):
        return _open_by_fsspec(uri)
    return found


def explain(name: str, error: Exception) -> str:
    """Return sentences with what a store said about a path or URI, and advice if there is any."""
    message = str(error).partition(" (Request ID")[0].rstrip(".")
    advice = (_ADVICE[words] for words in _ADVICE if any(word in message for word in words))
    return f"{name}: {message}. {next(advice, '')}".rstrip()


def _open_by_fsspec(uri: str) -> tuple[fs.FileSystem, str]:
    try:
        import fsspec  # noqa: PLC0415  # needed only for stores that Arrow lacks

        system, path = fsspec.core.url_to_fs(uri)
    except ImportError as error:
        needed = f"{error.name}: pip install {error.name}" if error.name else error
        raise StoreUnknown(f"{uri}: this store needs {needed}") from error
    except ValueError as error:
        raise StoreUnknown(f"{uri}: {error}") from error
    return fs.PyFileSystem(fs.FSSpecHandler(system)), path
