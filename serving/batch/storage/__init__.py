"""What input and output write alike: whole files or none, Arrow files, and cells as text."""
