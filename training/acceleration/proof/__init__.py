"""The proof that a twin answers as its model does: rows that are hard for it, and what it must hold."""
