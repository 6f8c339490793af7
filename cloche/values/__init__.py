"""Values that training and serving treat alike: datetimes, tensors, streams, messages."""
