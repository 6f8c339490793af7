"""Serializes tables as Arrow files, which workers and the parts of a job pass on."""

import pyarrow as pa


def arrow_file(table: pa.Table) -> memoryview:
    """Serialize a table as an Arrow file."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return memoryview(sink.getvalue())
