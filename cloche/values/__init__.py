"""Values that both sides read and tell alike: datetimes, tensors, streams, messages."""
