"""What the front and the registry process must agree on, besides the names of the questions."""

HELLO = 0  # the id of the line that says the process takes questions
LOOKS_AT_ONCE = 4  # questions to the registry that are asked at the same time
