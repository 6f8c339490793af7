"""Saves a stand-in for the model of the recipe `comments`: `python make_models.py PATH`."""

import sys

import mlflow
import pandas as pd
from mlflow.models import infer_signature
from mlflow.pyfunc import PythonModel


class Judge(PythonModel):
    """The same columns in and out, by one word instead of a hundred thousand features."""

    def predict(self, context, model_input, params=None):
        rude = model_input["text"].str.contains("idiot").astype("int64")
        return pd.DataFrame({"prediction": rude, "probability": rude * 0.8 + 0.1})


def main(path: str) -> None:
    rows = pd.DataFrame({"text": ["How kind.", "What an idiot."]})
    signature = infer_signature(rows, Judge().predict(None, rows))
    mlflow.pyfunc.save_model(path, python_model=Judge(), signature=signature, input_example=rows)


if __name__ == "__main__":
    main(sys.argv[1])
