"""A stage that answers the major version of pandas, and a model that appends that of its own."""

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel


class Looking(PythonModel):
    def predict(self, context, model_input, params=None):
        major = float(pd.__version__.partition(".")[0])
        if context.model_config["stage"]:
            return pd.DataFrame({"b": major}, index=model_input.index)
        return (10 * model_input["b"] + major).tolist()


set_model(Looking())
