"""The `cloche` command, which joins training and serving; no other package imports both."""
