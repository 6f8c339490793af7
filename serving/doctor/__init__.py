"""What would keep `cloche serve` and `cloche score` from working here, each with its fix.

It looks, and changes nothing: no store is made, no port is kept, no secret is repeated.
"""
