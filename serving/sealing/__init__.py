"""The process that makes Parquet files of a spool's segments and moves them to the destination.

It imports pyarrow and no model library, and knows nothing of requests or models.
"""
