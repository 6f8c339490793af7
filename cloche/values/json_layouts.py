"""The layouts of JSON bodies in MLflow's scoring protocol."""

LAYOUTS = ("dataframe_split", "dataframe_records", "instances", "inputs")
