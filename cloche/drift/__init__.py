"""How scored rows differ from the training rows of their version: counts, distances, judgement.

Batch jobs and `cloche monitor` judge by it alike. It reads no files and knows no report.
"""
