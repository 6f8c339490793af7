"""Join features to flights as they were known by then: `python training_table.py REPO OUTPUT`."""

import sys
from pathlib import Path

import pandas as pd
from feast import FeatureStore
from flight_features import KEYS, prepared, promised


def main(repo: str, output: str) -> None:
    """Write the keys, the features and what came of each flight."""
    store = FeatureStore(repo_path=repo)
    flights = pd.read_parquet(Path(repo) / "data" / "flights.parquet")
    flights["row"] = range(len(flights))
    joined = store.get_historical_features(
        entity_df=flights[[*KEYS, "event_timestamp", "row"]], features=promised(store)
    ).to_df()
    found = joined.set_index("row").loc[flights["row"]]  # Feast has an order of its own
    table = prepared(flights, found, promised(store))
    table.join(flights[["flight", "hour", "flight_date", "late"]]).to_parquet(output)


if __name__ == "__main__":
    main(*sys.argv[1:])
