"""`cloche up`: the whole way on one machine, from a recipe to answers."""
