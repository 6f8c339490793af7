"""Training's commands: they parse, call the library, and print. Nothing else in `training` prints."""
