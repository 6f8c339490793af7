"""Batch scoring: tables of any size, in parts that are written whole or not at all.

Nothing here knows the online front.
"""
