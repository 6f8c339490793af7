"""Input rows from files, object stores, databases and streams, cut into parts and typed."""
