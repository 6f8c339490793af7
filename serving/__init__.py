"""What carries predictions out, online and in batch; it never imports `training`."""
