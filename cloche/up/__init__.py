"""`cloche up`: everything from a recipe to a server's answers, on one machine."""
