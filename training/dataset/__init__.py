"""From a recipe to checked rows: reads tables, finds what would mislead, and splits them."""
