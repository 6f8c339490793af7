"""Runs the command `cloche` for `python -m cloche`."""

from cloche import launch

launch.require_posix()
launch.remove_script_folder()
launch.order_path()

from cloche.main import main  # noqa: E402

if __name__ == "__main__":
    main()
