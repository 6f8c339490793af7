"""The criteria of the gate, each with its key, what it needs measured, and its verdict.

They are here and not in `gate/`, because a recipe validates its criteria and lies below the gate.
What measures a version, and the rules without a key, are in `gate/`.
"""
