"""What to train, said in a data scientist's words: the recipe's schema, its file form, and the shipped ones."""
