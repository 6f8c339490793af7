"""Sample data sets from installed packages, each as one table."""
