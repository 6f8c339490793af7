"""`python -m cloche` is the same as `cloche`."""

from cloche.main import main

main()
