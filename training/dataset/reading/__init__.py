"""Tables from files, URLs, databases and samples, and how they are written."""
