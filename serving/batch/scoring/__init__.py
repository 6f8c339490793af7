"""Parts become scored parts: the worker processes, what they predict, and what becomes of lost ones."""
