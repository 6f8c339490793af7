"""The small data sets of scikit-learn, with column names that are easy to type."""

import pandas as pd
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine


def breast_cancer() -> pd.DataFrame:
    """Return 569 tumours with 30 measurements of cell nuclei; `benign` is 1 or 0."""
    frame = _tidy(load_breast_cancer(as_frame=True).frame)
    return frame.rename(columns={"target": "benign"})


def wine() -> pd.DataFrame:
    """Return 178 wines, 13 chemical measurements; `cultivar` is barolo, grignolino or barbera."""
    frame = _tidy(load_wine(as_frame=True).frame)
    frame = frame.rename(
        columns={
            "target": "cultivar",
            "od280/od315_of_diluted_wines": "od280_od315",
        }
    )
    names = {0: "barolo", 1: "grignolino", 2: "barbera"}
    return frame.assign(cultivar=frame["cultivar"].map(names))


def diabetes() -> pd.DataFrame:
    """Return 442 patients with 10 measurements in original units; `progression` is after a year."""
    frame = load_diabetes(as_frame=True, scaled=False).frame
    names = {
        "bp": "blood_pressure",
        "s1": "total_cholesterol",
        "s2": "ldl",
        "s3": "hdl",
        "s4": "cholesterol_ratio",
        "s5": "log_triglycerides",
        "s6": "glucose",
        "target": "progression",
    }
    renamed: pd.DataFrame = frame.rename(columns=names)
    return renamed.astype({"sex": "int64"})


def _tidy(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.rename(columns=lambda name: name.replace(" ", "_"))
