"""The spool of the prediction log on the local disk: segments of records, and counters.

The front, model hosts and the sealing process import it, so it imports no model library.
"""
