"""Readers of one part into typed rows, with one module per format."""
