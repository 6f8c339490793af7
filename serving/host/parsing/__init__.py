"""What a request body holds: JSON, types, missing values, and the columns of a signature."""
