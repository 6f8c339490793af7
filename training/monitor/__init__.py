"""Quality of the versions that serve, from logged predictions and their labels; alarms."""
