"""How child processes start, with which variables, and how they end."""
