"""The processes behind the server: how they start, share the cores, and communicate."""
