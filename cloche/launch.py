"""Runs a module of Cloche as a process: `python launch.py cloche.serving.host ARGUMENT...`.

Started by its path, so that neither the working directory nor PYTHONPATH decides what is imported
in the place of a module that is installed: folders there may hold a `types.py`, a `numpy.py`, or a
package of our name. It also runs in a model's own environment, where Cloche is not installed.
"""

import os
import sys

_PR_SET_DUMPABLE = 4
_RESTARTED = "CLOCHE_RESTARTED"
_FOLDER = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120  # pathlib: see `main`


def command(module: str, *arguments: str, python: str = "") -> list[str]:
    """The command line that runs a module of Cloche, or the `__main__` of a package of it.

    Args:
        module: Its name; its function `main` is called without arguments.
        arguments: What the module finds in `sys.argv[1:]`.
        python: The interpreter; by default the one that runs this.
    """
    own = [sys.executable, "-P"]  # another interpreter may be too old for -P
    program = os.path.join(_FOLDER, "launch.py")  # noqa: PTH118
    return [*([python] if python else own), program, module, *arguments]


def require_posix() -> None:
    """End with one sentence on a system that has no processes as Cloche needs them."""
    if os.name != "posix":
        sys.exit(
            "Cloche runs on Linux and macOS. On Windows, run it in WSL: type `wsl --install` once, "
            "then install and start Cloche in the shell that `wsl` opens."
        )


def leave_script_folder() -> None:
    """Import nothing from the folder of the script, or with `-m` from the working directory."""
    if not getattr(sys.flags, "safe_path", False):  # there since Python 3.11
        del sys.path[0]


def order_path(named: str | None = None) -> None:
    """Put the folders of PYTHONPATH at the end of `sys.path`.

    They add modules, and hide none: neither one of the standard library nor an installed one.

    Args:
        named: What takes the place of PYTHONPATH.
    """
    named = os.environ.get("PYTHONPATH") if named is None else named
    if not named:
        return
    # An empty entry is the working directory.
    theirs = [os.path.abspath(path) for path in named.split(os.pathsep)]  # noqa: PTH100
    sys.path[:] = [*(path for path in sys.path if path not in theirs), *dict.fromkeys(theirs)]


def restart_with(variables: dict[str, str]) -> None:
    """Start this process anew with these variables only; it goes on where this is called.

    Deleting others would leave them in `/proc/self/environ`.
    """
    if os.environ.pop(_RESTARTED, None) is None:
        os.execve(sys.executable, sys.orig_argv, {**variables, _RESTARTED: "1"})  # noqa: S606  # no shell is wanted


def stop_when_asked() -> None:
    """Have SIGTERM and SIGHUP stop this process as Ctrl-C does: what it began is ended and told.

    A SIGHUP that is ignored stays so: that is how `nohup` keeps a training.
    """
    import signal  # noqa: PLC0415  # see `main`

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)


def hide_memory() -> None:
    """Keep other processes of this user from reading the memory and environment of this one.

    Linux then gives `/proc/PID/environ` and `/proc/PID/mem` to root alone. Costs core dumps, and
    debuggers and profilers that attach as the same user. Ends with the next `exec`.
    """
    if sys.platform.startswith("linux"):
        import ctypes  # noqa: PLC0415  # see `main`

        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0)


def main() -> None:
    """Run the module that the first argument names, from the package that this file lies in."""
    leave_script_folder()
    order_path()
    # Not before: these import much of the standard library, which a folder could hide until now.
    from importlib import util  # noqa: PLC0415

    package = util.spec_from_file_location("cloche", f"{_FOLDER}/__init__.py")
    assert package is not None and package.loader is not None  # noqa: S101, PT018  # it is a file
    sys.modules["cloche"] = cloche = util.module_from_spec(package)
    package.loader.exec_module(cloche)
    run()


def run() -> None:
    """Run the module that `sys.argv[1]` names; it finds its own arguments behind that."""
    from importlib import import_module  # noqa: PLC0415  # see `main`

    del sys.argv[0]
    module = import_module(sys.argv[0])
    if hasattr(module, "__path__"):
        module = import_module(f"{module.__name__}.__main__")
    module.main()


if __name__ == "__main__":
    main()
