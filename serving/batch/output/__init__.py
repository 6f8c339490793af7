"""Where scored rows go: the working directory, the output and its layout, the lock of a job."""
