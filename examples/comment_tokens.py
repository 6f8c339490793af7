"""A tokenizer as a stage before a filter of comments: an MLflow model from code.

`python comment_tokens.py` registers it; `python comment_tokens.py COMMENTS.csv TOKENS.csv` prepares
a table for the training of the filter.
"""

import re
import sys
import unicodedata
from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc import PythonModel

WORD = re.compile(r"[^\W_]+")
REPEATED = re.compile(r"(.)\1{2,}")
LETTERS = str.maketrans("013457@$", "oieastas")  # of words that are spelled to pass filters


def tokens(text: str) -> str:
    """Return the words of a text as they are usually written, with spaces between."""
    usual = unicodedata.normalize("NFKC", text).lower().translate(LETTERS)
    return " ".join(REPEATED.sub(r"\1", word) for word in WORD.findall(usual))


class CommentTokens(PythonModel):
    """Answers each text with its tokens."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Tokenize texts."""
        return pd.DataFrame({"tokens": [tokens(text) for text in model_input["text"]]})


mlflow.models.set_model(CommentTokens())

if __name__ == "__main__" and sys.argv[1:]:
    source, output = sys.argv[1:]
    comments = pd.read_csv(source)
    prepared = CommentTokens().predict(None, comments)
    prepared.join(comments.drop(columns="text")).to_csv(output, index=False)
elif __name__ == "__main__":
    rows = pd.DataFrame({"text": ["What an IDI0T!!!"]})
    mlflow.pyfunc.log_model(
        name="comment-tokens",
        python_model=__file__,
        signature=mlflow.models.infer_signature(rows, CommentTokens().predict(None, rows)),
        input_example=rows,
        pip_requirements=["mlflow", "pandas"],
        registered_model_name="comment-tokens",
    )
