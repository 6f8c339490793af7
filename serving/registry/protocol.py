"""What the front and the registry process must agree on, besides the names of the questions."""

HELLO = 0  # the id of the line that says the process takes questions
