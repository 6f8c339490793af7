"""Runs a module of Cloche as a process: `python launch.py cloche.serving.host ARGUMENT...`.

The file is started by its path, so that no folder in the working directory or PYTHONPATH replaces
an installed module: such folders may hold a `types.py`, a `numpy.py`, or a package named `cloche`.
It also runs in a model's own environment, where Cloche is not installed.
"""

import os
import sys

_PR_SET_DUMPABLE = 4
_RESTARTED = "CLOCHE_RESTARTED"
_FOLDER = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120  # pathlib: see `main`


def command(module: str, *arguments: str, python: str = "") -> list[str]:
    """Return the command line that runs a module, or a package's `__main__`, of Cloche.

    Args:
        module: The module's name; its function `main` is called without arguments.
        arguments: The module's arguments, which it reads from `sys.argv[1:]`.
        python: The path of the interpreter; by default the current one.
    """
    own = [sys.executable, "-P"]  # not for another interpreter, which may be too old for -P
    program = os.path.join(_FOLDER, "launch.py")  # noqa: PTH118
    return [*([python] if python else own), program, module, *arguments]


def require_posix() -> None:
    """Exit with a message on systems other than POSIX, whose processes Cloche cannot use."""
    if os.name != "posix":
        sys.exit(
            "Cloche runs on Linux and macOS. On Windows, run it in WSL: type `wsl --install` once, "
            "then install and start Cloche in the shell that `wsl` opens."
        )


def remove_script_folder() -> None:
    """Remove the script's folder (with `-m`, the working directory) from `sys.path`."""
    if not getattr(sys.flags, "safe_path", False):  # Python 3.10 does not have the flag
        del sys.path[0]


def order_path(named: str | None = None) -> None:
    """Move the folders of PYTHONPATH to the end of `sys.path`.

    There they add modules, but hide none of the standard library and no installed one.

    Args:
        named: The value to use instead of PYTHONPATH.
    """
    named = os.environ.get("PYTHONPATH") if named is None else named
    if not named:
        return
    # An empty entry in PYTHONPATH means the working directory.
    theirs = [os.path.abspath(path) for path in named.split(os.pathsep)]  # noqa: PTH100
    sys.path[:] = [*(path for path in sys.path if path not in theirs), *dict.fromkeys(theirs)]


def restart_with(variables: dict[str, str]) -> None:
    """Restart this process with only these environment variables, and return after the restart.

    Variables that are only deleted would stay readable in `/proc/self/environ`.
    """
    if os.environ.pop(_RESTARTED, None) is None:
        os.execve(sys.executable, sys.orig_argv, {**variables, _RESTARTED: "1"})  # noqa: S606  # no shell is wanted


def interrupt_on_signals() -> None:
    """Handle SIGTERM and SIGHUP like Ctrl-C, so that running work is stopped and reported.

    An ignored SIGHUP stays ignored: that is how `nohup` keeps a training running.
    """
    import signal  # noqa: PLC0415  # see `main`

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)


def hide_memory() -> None:
    """Keep other processes of this user from reading the memory and environment of this one.

    Linux then lets only root read `/proc/PID/environ` and `/proc/PID/mem`. The process writes no
    core dumps, and no debugger or profiler of the same user can attach. Ends with the next `exec`.
    """
    if sys.platform.startswith("linux"):
        import ctypes  # noqa: PLC0415  # see `main`

        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0)


def main() -> None:
    """Run the module named by the first argument, from the package that contains this file."""
    remove_script_folder()
    order_path()
    # Imported only now: it imports much of the standard library, which a folder could hide before.
    from importlib import util  # noqa: PLC0415

    package = util.spec_from_file_location("cloche", f"{_FOLDER}/__init__.py")
    assert package is not None and package.loader is not None  # noqa: S101, PT018  # it is a file
    sys.modules["cloche"] = cloche = util.module_from_spec(package)
    package.loader.exec_module(cloche)
    run()


def run() -> None:
    """Run the module named by `sys.argv[1]`, with the arguments that follow the name."""
    from importlib import import_module  # noqa: PLC0415  # see `main`

    del sys.argv[0]
    module = import_module(sys.argv[0])
    if hasattr(module, "__path__"):
        module = import_module(f"{module.__name__}.__main__")
    module.main()


if __name__ == "__main__":
    main()
