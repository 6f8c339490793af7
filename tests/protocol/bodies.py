"""The bodies that the differential test sends: per kind of model, and malformed ones for all."""

import base64
import io
import json
from typing import Any

import pandas as pd

JSON, CSV, PARQUET = "application/json", "text/csv", "application/vnd.apache.parquet"

Body = tuple[str, bytes]


def text(payload: Any, content_type: str = JSON) -> Body:
    return content_type, json.dumps(payload).encode()


def every_layout(table: pd.DataFrame) -> list[Body]:
    """The same rows in all layouts of the protocol."""
    records = json.loads(table.to_json(orient="records"))
    names, rows = list(table.columns), [list(record.values()) for record in records]
    file = io.BytesIO()
    table.to_parquet(file)
    return [
        text({"dataframe_split": {"columns": names, "data": rows}}),
        text({"dataframe_split": {"columns": names[::-1], "data": [row[::-1] for row in rows]}}),
        text(
            {
                "dataframe_split": {
                    "columns": names,
                    "data": rows,
                    "index": list(range(7, 7 + len(rows))),
                }
            }
        ),
        text({"dataframe_split": {"columns": names, "data": rows, "index": ["x"] * len(rows)}}),
        text(
            {
                "dataframe_split": {
                    "columns": ["id", *names],
                    "data": [[f"{at}", *row] for at, row in enumerate(rows)],
                    "index": list(range(len(rows))),
                }
            }
        ),
        text({"dataframe_split": {"data": rows}}),
        text({"dataframe_records": records}),
        text({"dataframe_records": [record | {"extra": 1} for record in records]}),
        text({"dataframe_records": records, "params": {"factor": 3}}),
        text({"dataframe_records": records, "params": {"factor": "x", "other": 1}}),
        text(
            {
                "dataframe_records": [
                    record | {"id": at or None} for at, record in enumerate(records)
                ]
            }
        ),
        text({"instances": records}),
        text({"instances": [{"id": at} | record for at, record in enumerate(records)]}),
        text({"instances": rows}),
        text({"inputs": records}),
        text({"inputs": rows}),
        text({"inputs": {name: [row[at] for row in rows] for at, name in enumerate(names)}}),
        text(
            {
                "inputs": {name: [row[at] for row in rows] for at, name in enumerate(names)}
                | {"id": list(range(len(rows)))}
            }
        ),
        text({"inputs": records[0]}),
        (CSV, table.to_csv(index=False).encode()),
        (PARQUET, file.getvalue()),
    ]


def in_rows(name: str, *cells: Any) -> list[Body]:
    """Each cell in a row of its own, in all layouts that have rows."""
    layouts = ("dataframe_records", "instances", "inputs")
    return [text({layout: [{name: cell}]}) for cell in cells for layout in layouts]


def numbers() -> list[Body]:
    wide = pd.DataFrame({"a": [0.5, 2.0], "b": [1.0, 3.0]})
    whole = pd.DataFrame({"a": [1, 2], "b": [0, 3]})
    gaps = pd.DataFrame({"a": [1.5, None], "b": [None, 2.0]})
    return every_layout(wide) + every_layout(whole) + every_layout(gaps) + every_layout(wide[:1])


BLOB = base64.b64encode(b"\x00\xffabc").decode()
BY_KIND: dict[str, list[Body]] = {
    "scalars": every_layout(
        pd.DataFrame(
            {
                "a": [1.5, 2], "b": [0.1, 3], "c": [2**60, -1], "d": [7, 8], "e": [True, False],
                "f": ["x", "é\n"],
            }
        )
    )
    + [
        text({"dataframe_records": [{"a": 1, "b": 2, "c": 3, "d": 4, "e": cell, "f": cell}]})
        for cell in (None, 0, 1, 2.5, "", "x", True, [1], {"k": 1})
    ]
    + [
        text({"dataframe_records": [{"a": cell, "b": cell, "c": 3, "d": 4, "e": True, "f": None}]})
        for cell in (None, True, "1.5", "x", 2**70, -1e300, [1])
    ]
    + [
        text({"dataframe_records": [{"a": 1, "b": 2, "c": cell, "d": cell, "e": True, "f": "x"}]})
        for cell in (None, True, 1.0, 1.5, "7", 2**40, 2**70)
    ],
    "optional": every_layout(pd.DataFrame({"a": [1.5], "b": [2.0], "f": ["x"]}))
    + every_layout(pd.DataFrame({"a": [1.5, 2.5]}))
    + every_layout(pd.DataFrame({"a": [1.5], "b": [None], "f": [None]})),
    "datetime": [
        text({"dataframe_records": [{"when": cell}]})
        for cell in (
            "2026-01-02", "2026-01-02T03:04:05", "2026-01-02T03:04:05Z", "x", "", None, 5, 1.5,
            True,
        )
    ]
    + [
        (CSV, b"when\n2026-01-02\n"),
        text({"instances": [{"when": "2026-01-02"}]}),
        text({"inputs": {"when": ["2026-01-02", "2026-02-03T04:05:06"]}}),
    ],
    "binary": in_rows("blob", BLOB, "!", "", None, 5),
    "integers": every_layout(pd.DataFrame({"a": [1, 2], "b": [3, 4]}))
    + every_layout(pd.DataFrame({"a": [1, None], "b": [3, 4]}))
    + every_layout(pd.DataFrame({"a": [1, 2], "b": [3.5, None]})),
    "array_column": in_rows("a", [1.5, 2], [], [1], ["x"], None, 1, [[1.0]]),
    "object_column": in_rows(
        "a", {"x": 1}, {"x": 1, "y": "z"}, {"y": "z"}, {}, {"x": "1"}, {"x": 1, "q": 2}, None, 3
    ),
    "map_column": in_rows("a", {"k": 1}, {}, {"k": "x"}, {"k": None}, None, 3),
    "tensor": [
        text({layout: cell})
        for cell in (
            [[1, 2]], [[1.5, 2], [3, 4]], [1, 2], [[1]], [["x", "y"]], [], 5, {"x": [[1, 2]]},
            [[None, 1]],
        )
        for layout in ("instances", "inputs")
    ]
    + every_layout(pd.DataFrame({"a": [1.0, 2], "b": [3.0, 4]})),
    "embedding_predict": in_rows(
        "a", [1.5, 2], [1, 2], [1], [], ["x", "y"], None, [[1.0, 2.0]], "secret"
    )
    + every_layout(pd.DataFrame({"a": [[1.5, 2.0], [0.0, 1.0]]})),
    "nested": in_rows(
        "a", [{"x": 1, "tags": ["u"]}], [{"x": 1}, {"x": 2, "tags": []}], [], [{"tags": ["u"]}],
        [{"x": 1, "tags": [5]}], [{"x": 1, "tags": None}], [None], {"x": 1},
    ),
    "named_tensors": [
        text(body)
        for body in (
            {"inputs": {"x": [[1, 2]], "y": [3]}},
            {"inputs": {"x": [[1, 2], [3, 4]], "y": [3, 4]}},
            {"instances": [{"x": [1, 2], "y": 3}, {"x": [4, 5], "y": 6}]},
            {"inputs": {"x": [[1, 2]]}}, {"inputs": {"x": [1, 2], "y": [3]}},
            {"instances": [{"x": [1, 2]}]}, {"inputs": [[1, 2]]},
            {"inputs": {"x": [["a", "b"]], "y": [3]}},
            {"dataframe_records": [{"x": [1, 2], "y": 3}]},
        )
    ],
    "type_hints": [
        text(body)
        for body in (
            {"inputs": [{"role": "u", "content": "hi"}]}, {"inputs": [{"role": "u"}]},
            {"inputs": []}, {"inputs": {"role": "u", "content": "x"}},
            {"instances": [{"role": "u", "content": "hi"}]},
            {"dataframe_records": [{"role": "u", "content": "hi"}]},
            {"inputs": "x"},
        )
    ],
    "chat": [
        text(body)
        for body in (
            {"messages": [{"role": "user", "content": "hi"}]},
            {"messages": [], "temperature": 0.5}, {"prompt": "x"}, {"input": ["a"]},
            {"prompt": "x", "params": {"a": 1}}, {"inputs": ["a"]},
        )
    ],
    "failing": [*numbers(), text({"dataframe_records": [{"a": -1, "b": 1}]})],
    "text_predict": every_layout(pd.DataFrame({"text": ["good day", ""]}))
    + every_layout(pd.DataFrame({"text": ["x", None]}))
    + every_layout(pd.DataFrame({"text": [5]}))
    + [text({"inputs": ["good", "bad"]}), text({"inputs": "good"}), text({"instances": ["good"]})],
}  # fmt: skip
CODED = every_layout(pd.DataFrame({"a": [1.5, 2], "b": [0.5, 1], "c": ["x", "z"]})) + every_layout(
    pd.DataFrame({"a": [1.5], "b": [0.5], "c": [None]})
)
BY_KIND |= dict.fromkeys(("arrays_predict", "onnx", "pytorch", "tensorflow"), BY_KIND["tensor"])
BY_KIND |= dict.fromkeys(("labels_predict", "labels_predict_proba", "names_predict"), CODED)

MALFORMED: list[Body] = [
    *(
        (JSON, body)
        for body in (
            b"", b"{", b"null", b"[]", b"5", b'"x"', b"\xff\xfe", b"{}", b"NaN", b"[" * 5000,
        )
    ),
    *(
        text(body)
        for body in (
            {"nonsense": 1}, {"instances": [], "inputs": []}, {"dataframe_split": {}},
            {"dataframe_split": None}, {"dataframe_split": []},
            {"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}},
            {"dataframe_split": {"columns": ["a", "a"], "data": [[1, 2]]}},
            {"dataframe_split": {"columns": "ab", "data": [[1, 2]]}},
            {"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2], [3]]}},
            {"dataframe_split": {"columns": ["a", "b"], "data": [], "other": 1}},
            {"dataframe_records": {}}, {"dataframe_records": []}, {"dataframe_records": [1, 2]},
            {"dataframe_records": "x"}, {"dataframe_records": [{"a": 1}]},
            {"dataframe_records": [{}]},
            {"dataframe_records": [{"a": {"deep": [1]}, "b": [[]]}]},
            {"instances": None}, {"instances": "x"}, {"instances": []}, {"instances": [[]]},
            {"instances": [{"a": 1}, {"b": 2}]}, {"inputs": None}, {"inputs": {}},
            {"inputs": {"a": [1, 2], "b": [1]}}, {"inputs": [[1, 2], [3]]},
            {"dataframe_records": [{"a": "secret", "b": 1}]},
            {"dataframe_records": [{"a": 1e400, "b": 1}]},
            {"dataframe_records": [{"a": 1, "b": 2}], "params": [1]},
            {"dataframe_records": [{"a": 1, "b": 2}], "params": "x"},
            {"dataframe_records": [{"a": 1, "b": 2}], "params": {"factor": None}},
            {"dataframe_records": [{"a": 1, "b": 2}], "anything": "else"},
            {"instances": [{"a": 1, "b": 2}], "signature_name": "x"},
        )
    ),
    (JSON, b'{"dataframe_records": [{"a": NaN, "b": Infinity}]}'),
    (JSON, b'{"dataframe_records": [{"a": 1, "b": 2}]} trailing'),
    (CSV, b""),
    (CSV, b"\xff\xfe"),
    (CSV, b"a,b\n1\n"),
    (CSV, b"a,b\n1,2,3\n"),
    (CSV, b"a,b\nx,y\n"),
    (CSV, b"a\n1\n"),
    (CSV, b"a,b\n"),
    (CSV, b'a,b\n"1,2\n'),
    (PARQUET, b""),
    (PARQUET, b"PAR1"),
    (PARQUET, b"PAR1junkPAR1"),
]  # fmt: skip

GOOD = b'{"dataframe_records": [{"a": 1, "b": 2}]}'
CONTENT_TYPES: list[Body] = [
    (content_type, GOOD)
    for content_type in (
        "application/json; charset=utf-8", "application/json;charset=UTF-8",
        "application/json; charset=latin-1", "application/json; format=pandas", "application/JSON",
        "text/plain", "", "application/json;", "application/json; charset",
        "text/csv; charset=utf-16", "multipart/form-data; boundary=x",
    )
]  # fmt: skip


def bodies_for(kind: str) -> list[Body]:
    """Everything that is sent to a model of this kind."""
    return BY_KIND.get(kind, numbers()) + MALFORMED + CONTENT_TYPES
