"""The codecs, one for each protocol; `catalog.py` has them by the names of the protocols.

A codec parses a request to a table for the column decoder or to the input of the model, and writes
predictions in the protocol's format. Requests of all protocols share the same batches.
"""
