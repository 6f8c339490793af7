"""The command lines of serving: options and output, without the work itself."""
