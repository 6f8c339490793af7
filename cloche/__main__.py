"""`python -m cloche` is the same as `cloche`."""

from cloche.launch import put_libraries_first

put_libraries_first()

from cloche.main import main  # noqa: E402

if __name__ == "__main__":
    main()
