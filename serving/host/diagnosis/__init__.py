"""Why MLflow refused a request: the column, parameter, property or shape, and never a value.

Whether a request is refused is not decided here. `diagnosis.py` has the order of the looks.
"""
