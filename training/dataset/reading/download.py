"""Downloads files over HTTP, with limits on size and time."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError, ReadTimeoutError

from cloche.training.errors import DataError

MAX_BYTES: Final = 2 * 1024**3
CONNECT_SECONDS: Final = 10
READ_SECONDS: Final = 60
_CHUNK = 1024**2
_SUFFIX_CHARACTERS = 20


@contextmanager
def download(url: str, name: str, *, max_bytes: int = MAX_BYTES) -> Iterator[Path]:
    """Download the file at `url`, and yield its path as long as the context lasts.

    The local file has the same suffixes as the remote one.

    Args:
        url: `http://` or `https://` URL, with the secrets that it needs.
        name: URL for messages, without secrets.
        max_bytes: Largest size of the body; a larger one is refused.

    Raises:
        DataError: There is no such file, it is too large, or the server cannot be reached.
    """
    with tempfile.TemporaryDirectory(prefix="cloche-") as folder:
        try:
            suffixes = PurePosixPath(urlsplit(url).path).suffixes[-2:]  # like .csv.gz
            path = Path(folder, f"download{''.join(suffixes)[-_SUFFIX_CHARACTERS:]}")
            with requests.get(url, stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS)) as answer:
                answer.raise_for_status()
                _save(answer, path, name, max_bytes)
        except requests.HTTPError as error:
            status = error.response.status_code
            raise DataError(
                name, [f"the server answers {status} {error.response.reason}"]
            ) from None
        except (requests.RequestException, HTTPError, ValueError) as error:
            # The exception's own text contains the whole URL, which may hold a password.
            problem = f"cannot be reached ({type(error).__name__}); check the address"
            # requests reports a timeout in the middle of the body as a ConnectionError.
            if isinstance(error, requests.Timeout) or isinstance(
                next(iter(error.args), None), ReadTimeoutError
            ):
                problem = "the server does not answer in time; try again"
            raise DataError(name, [problem]) from None
        yield path


def _save(answer: requests.Response, path: Path, name: str, max_bytes: int) -> None:
    size = 0
    with path.open("wb") as file:
        for chunk in answer.iter_content(_CHUNK):
            size += len(chunk)
            if size > max_bytes:
                limit = f"{max_bytes / 1024**2:,.0f} MiB"
                fix = "download it yourself, and name the file in its place"
                raise DataError(name, [f"is larger than {limit}; {fix}"])
            file.write(chunk)
