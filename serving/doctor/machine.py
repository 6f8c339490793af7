"""Checks of this machine: disk space, open files, locale and installed packages."""

import importlib.metadata
import locale
import os
import resource
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

from cloche.serving.doctor.check_result import CheckResult, fail, ok, warn
from cloche.serving.settings import Settings

_GIB = 1 << 30
_WARN_BELOW, _FAIL_BELOW = 2 * _GIB, _GIB // 4
_OTHER_FILES = 256  # the front's other open files: libraries, sockets to model hosts


def disk(settings: Settings) -> Iterator[CheckResult]:
    """Check that the disks have room for versions, spools and downloads."""
    places = {"cache": settings.cache_directory, "temporary files": Path(_temporary())}
    for name, place in places.items():
        there = next(one for one in (place, *place.absolute().parents) if one.exists())
        free = shutil.disk_usage(there).free
        says = f"{place}: {free / _GIB:.1f} GiB free"
        fix = f"df -h {shlex.quote(str(there))}; make room, or use another disk by " + (
            "--cache-dir DIR" if name == "cache" else "TMPDIR=DIR"
        )
        check = f"disk for {name}"
        if free < _FAIL_BELOW:
            yield fail(check, says, fix)
        elif free < _WARN_BELOW:
            yield warn(check, says, fix)
        else:
            yield ok(check, says)


def temporary(_: Settings) -> Iterator[CheckResult]:
    """Check that temporary files can be written."""
    try:
        with tempfile.TemporaryFile() as file:
            file.write(b"x")
    except OSError as error:
        yield fail("temporary files", str(error), "TMPDIR=DIR, a directory that can be written")


def _temporary() -> str:
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:  # no folder is writable; `temporary` reports this
        return os.environ.get("TMPDIR", "/tmp")  # noqa: S108  # only its free space is read


def open_files(settings: Settings) -> Iterator[CheckResult]:
    """Check that the limit of open files allows for the server's `max_connections`."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = settings.max_connections + _OTHER_FILES
    if soft == resource.RLIM_INFINITY or soft >= needed:
        yield ok("open files", f"{soft} may be open, {needed} are needed at most")
    else:
        yield warn(
            "open files",
            f"{soft} may be open, and --max-connections {settings.max_connections} may need "
            f"{needed}: clients would be refused under load",
            f"ulimit -n {needed}, LimitNOFILE={needed} in a systemd unit, or fewer by "
            f"--max-connections {max(1, soft - _OTHER_FILES)}",
        )


def text(_: Settings) -> Iterator[CheckResult]:
    """Check that text files, such as recipes and policies, are read as UTF-8."""
    encoding = locale.getpreferredencoding(False)
    if encoding.lower().replace("-", "") == "utf8":
        yield ok("locale", "text is read as UTF-8")
    else:
        yield warn(
            "locale",
            f"text is read as {encoding}: names beyond ASCII in recipes and tables come out wrong",
            "export LC_ALL=C.UTF-8, or PYTHONUTF8=1",
        )


def packages(_: Settings) -> Iterator[CheckResult]:
    """Check that the installed packages meet Cloche's requirements."""
    wrong, absent = [], set()
    for line in importlib.metadata.requires("cloche") or []:
        wanted = Requirement(line)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            found = importlib.metadata.version(wanted.name)
        except importlib.metadata.PackageNotFoundError:
            absent.add(wanted.name)
            found = "nothing"
        if wanted.name in absent or not wanted.specifier.contains(found, prereleases=True):
            wrong.append(f"{wanted.name}{wanted.specifier} (installed: {found})")
    version = importlib.metadata.version("cloche")
    if wrong:
        yield fail(
            "packages",
            f"cloche {version} asks for {', '.join(wrong)}",
            f"pip install 'cloche=={version}'",
        )
    else:
        yield ok("packages", f"cloche {version} has what it asks for")


def unimportable(error: ImportError) -> CheckResult:
    """Return the result for a package that cannot be imported, although it may be installed."""
    cause: BaseException | None = error
    while cause is not None and not getattr(cause, "name", None):
        cause = cause.__cause__  # of an extension that cannot be loaded, as NumPy tells it
    module = str(getattr(cause, "name", "")).partition(".")[0]
    found = importlib.metadata.packages_distributions().get(module, ())
    named = " ".join(f"'{one}=={importlib.metadata.version(one)}'" for one in dict.fromkeys(found))
    fix = f"--force-reinstall --no-deps {named}" if named else module
    return fail(
        "imports", f"MLflow and what it needs cannot be imported: {error}", f"pip install {fix}"
    )
