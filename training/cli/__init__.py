"""Training's commands: they parse, call the library, and print; nothing else here prints."""
