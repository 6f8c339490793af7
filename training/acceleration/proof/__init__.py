"""The proof that a twin answers as its model does, also for rows that are hard for it."""
