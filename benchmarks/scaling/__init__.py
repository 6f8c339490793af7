"""Estimates for more servers than one machine can run: arithmetic and simulations, no clock."""
