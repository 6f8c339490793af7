"""Batch scoring of tables of any size, in parts that are written completely or not at all.

Nothing here depends on the online front.
"""
