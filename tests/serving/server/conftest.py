import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate, its key, the key with a passphrase, another key, and garbage."""
    folder = tmp_path_factory.mktemp("a pem")
    for line in (
        "req -x509 -newkey rsa:2048 -nodes -subj /CN=x -days 1 -keyout key -out certificate",
        "pkey -in key -aes256 -passout pass:secret -out encrypted",
        "genrsa -out other 2048",
    ):
        subprocess.run(["openssl", *line.split()], cwd=folder, check=True, capture_output=True)
    (folder / "garbage").write_text("no PEM")
    return folder
