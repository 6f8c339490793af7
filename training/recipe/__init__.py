"""What to train, in a data scientist's words: the recipe, its file form, and the shipped ones."""
