"""Reads tables from files, URLs, databases and samples, and writes them."""
