"""One codec for each protocol.

It reads a request into what the plan and the models take, and writes predictions in its form. All
of them meet in the same batch.
"""
