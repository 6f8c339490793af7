"""From a recipe to checked rows: reads tables, finds misleading data, and splits the rows."""
