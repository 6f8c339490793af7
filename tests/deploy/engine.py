"""Images and containers without Docker: Buildah builds, and namespaces run.

A container is what an image's configuration says, as an engine starts it: its entry point is
process 1 of a file system that cannot be written but for the cache and /tmp, as the image's user,
with the image's environment and nothing of this machine but the network.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.apart import CACHE
from tests.deploy import debian
from tests.online import Server, wait_for
from tests.shell import answers, free_port

ROOT = Path(__file__).parents[2]
BASE = "docker.io/library/python:3.13-slim-trixie"
_PACKAGES = ["python3", "python3-venv", "ca-certificates"]

# What an engine prepares. Each volume is a pair: where it lies, and where the container sees it.
_START = """
root=$1 uid=$2 gid=$3 count=$4; shift 4
while [ "$count" -gt 0 ]; do
  mkdir -p "$root$2"; mount --bind "$1" "$root$2"; shift 2; count=$((count - 1))
done
mount --rbind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs -o "uid=$uid,gid=$gid,mode=700" tmpfs "$root/var/cache/cloche"
exec setpriv --no-new-privs \\
  chroot --userspec="$uid:$gid" --groups= "$root" env --ignore-environment "$@"
"""


def pip_settings() -> tuple[str, Path | None]:
    """A pip.conf with this machine's index, and the certificates that it has at /etc/pip.ca.pem."""
    lines, certificates = ["[global]"], None
    for name in ("index-url", "extra-index-url", "cert"):
        asked = [sys.executable, "-m", "pip", "config", "get", f"global.{name}"]
        told = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.split()
        outside = [one for one in told if not one.startswith("file:")]  # no files of this machine
        value = os.environ.get(f"PIP_{name.upper().replace('-', '_')}") or " ".join(outside)
        if name == "cert" and value:
            certificates, value = Path(value), "/etc/pip.ca.pem"
        lines += [f"{name} = {value}"] if value else []
    return "\n".join(lines) + "\n", certificates


def pip_secrets(folder: Path) -> list[str]:
    """Options of a build that give it this machine's settings of pip as secrets."""
    settings, certificates = pip_settings()
    (folder / "pip.conf").write_text(settings)
    options = ["--secret", f"id=pip.conf,src={folder / 'pip.conf'}"]
    return [*options, "--secret", f"id=ca.pem,src={certificates}"] if certificates else options


@dataclass
class Engine:
    """Buildah, with a store of its own."""

    folder: Path
    pip: list[str] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """What makes any `buildah` below use this store."""
        return {
            "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"),
            "BUILDAH_ISOLATION": "chroot",
            "BUILDAH_FORMAT": "docker",
            "TMPDIR": str(CACHE / "buildah"),  # where pip's downloads stay for the next build
        }

    def __call__(self, *arguments: str | Path) -> str:
        """What a command of Buildah prints."""
        done = subprocess.run(
            ["buildah", *arguments],
            env=os.environ | self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def open(self) -> None:
        """Make the store: layers that share what they have in common, where the kernel lets us."""
        (CACHE / "buildah").mkdir(parents=True, exist_ok=True)
        for driver in ("overlay", "vfs"):
            (self.folder / "storage.conf").write_text(
                f'[storage]\ndriver = "{driver}"\n'
                f'graphroot = "{self.folder}/graph"\nrunroot = "{self.folder}/run"\n'
            )
            with suppress(AssertionError):
                self("info")
                break
        self.pip = pip_secrets(self.folder)

    def close(self) -> None:
        """Remove every container and image."""
        self("rm", "--all")
        self("rmi", "--all", "--force")
        subprocess.run(["rm", "-rf", self.folder / "graph", self.folder / "run"], check=True)

    def make_base(self) -> None:
        """What the Dockerfile names as its base, from Debian's packages, once for all sessions."""
        archive = debian.base("trixie", "python3", _PACKAGES, self.folder)
        container = self("from", "scratch")
        self("add", "--quiet", container, archive, "/")
        self("commit", "--quiet", "--rm", container, BASE)

    def build(self, dockerfile: Path, tag: str) -> None:
        """Build an image from this checkout."""
        self("build", "--pull-never", *self.pip, "--file", dockerfile, "--tag", tag, ROOT)

    def image(self, tag: str) -> "Image":
        """An image, laid out to be looked at and run."""
        container = self("from", "--pull-never", tag)
        config = json.loads(self("inspect", "--type", "image", tag))["Docker"]["config"]
        return Image(Path(self("mount", container)), config)


@dataclass
class Image:
    """A file system, and what its image says of how it is run."""

    root: Path
    config: dict[str, Any]

    def command(
        self,
        *arguments: str,
        variables: Mapping[str, str] | None = None,
        entry_point: list[str] | None = None,
        volumes: Mapping[Path, str] | None = None,
    ) -> list[str]:
        """The command line that runs a container; its entry point is process 1."""
        uid, gid = self.config["User"].split(":")
        mounts = [str(side) for pair in (volumes or {}).items() for side in pair]
        given = [f"{name}={value}" for name, value in (variables or {}).items()]
        first = self.config["Entrypoint"] if entry_point is None else entry_point
        return [
            *("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", _START, "sh"),
            *(str(self.root), uid, gid, str(len(mounts) // 2), *mounts),
            *(f"--chdir={self.config['WorkingDir']}", *self.config["Env"], *given),
            *(first or []), *(arguments or self.config["Cmd"]),
        ]  # fmt: skip

    def run(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a container to its end."""
        command = self.command(*arguments, **options)
        return subprocess.run(command, capture_output=True, text=True, check=False)

    @contextmanager
    def serving(
        self, *arguments: str, directory: Path, variables: Mapping[str, str], **options: Any
    ) -> Iterator["Container"]:
        """A container that serves, and is ended however the test goes."""
        port = str(free_port())
        # whatever starts it says the port in its own way
        given = {name: port if value == "PORT" else value for name, value in variables.items()}
        log = directory / "container.log"
        with log.open("wb") as output:
            command = self.command(*arguments, variables=given, **options)
            process = subprocess.Popen(command, stdout=output, stderr=output)
        container = Container(process, log, f"http://127.0.0.1:{port}", image=self, given=given)
        try:
            wait_for(lambda: process.poll() is not None or answers(f"{container.url}/livez"))
            assert process.poll() is None, log.read_text()
            yield container
        finally:
            # process 1 became another user, and with that lost its tie to `unshare`
            with suppress(OSError, IndexError):  # unless it ended, or never began
                os.kill(container.first, signal.SIGKILL)
            process.kill()
            process.wait()


@dataclass
class Container(Server):
    """A running container."""

    image: Image = field(kw_only=True)
    given: dict[str, str] = field(kw_only=True)

    @property
    def first(self) -> int:
        """Its process 1, by the number that it has out here."""
        below = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        return int(Path(below).read_text().split()[0])

    def processes(self) -> list[dict[str, str]]:
        """What the kernel says of each of its processes that did not end meanwhile."""
        namespace = Path(f"/proc/{self.first}/ns/pid").readlink()
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdecimal() and (entry / "ns" / "pid").readlink() == namespace:
                    lines = (entry / "status").read_text().splitlines()
                    found.append(dict(line.split(":\t", 1) for line in lines))
        return found

    def check_health(self) -> int:
        """The exit code of the image's health check."""
        kind, *command = self.image.config["Healthcheck"]["Test"]
        assert kind == "CMD", "a shell is not needed"
        return self.image.run(*command, entry_point=[], variables=self.given).returncode

    def end(self, number: int = signal.SIGTERM) -> int:
        os.kill(self.first, number)
        return self.process.wait(60)
