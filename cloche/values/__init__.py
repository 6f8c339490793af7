"""Values as both sides read and tell them: datetimes, tensors, streams, and messages without secrets."""
