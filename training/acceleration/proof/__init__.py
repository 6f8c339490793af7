"""The proof that a twin gives the same answers as its model, also for adversarial rows."""
