"""What carries predictions out, online and in batch.

The registry is its only way in; it never imports `training`.
"""
