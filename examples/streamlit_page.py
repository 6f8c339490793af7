"""A Streamlit page on which people try a served model.

Start the server and the page with:

cloche serve models:/comment-abuse@production
CLOCHE_URL=http://127.0.0.1:8080 streamlit run examples/streamlit_page.py
"""

import os

import pandas as pd
import streamlit as st

from cloche.client import Client, ClientError


@st.cache_resource
def client() -> Client:
    """Return the client that all visitors share, so that its connections stay open."""
    return Client(os.environ.get("CLOCHE_URL", "http://127.0.0.1:8080"), timeout=5.0)


st.title("Is this comment abusive?")
text = st.text_area("Comments, one per line")
if st.button("Judge") and text.strip():
    rows = pd.DataFrame({"text": [line for line in text.splitlines() if line.strip()]})
    try:
        answer = client().predict(rows)
    except ClientError as error:
        st.error(f"No verdict: {error}")
    else:
        st.dataframe(rows.join(answer.frame()), hide_index=True)
        st.caption(f"Judged by {answer.model}, version {answer.version or 'none'}.")
