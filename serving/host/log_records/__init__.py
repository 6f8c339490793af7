"""The prediction log of a model host: which rows, in which form. It parses and predicts nothing."""
