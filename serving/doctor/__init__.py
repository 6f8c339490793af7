"""Checks for what would keep `cloche serve` and `cloche score` from working, each with its fix.

A check changes nothing: it creates no store, keeps no port, and prints no secret.
"""
