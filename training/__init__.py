"""The kitchen: from a recipe to a promoted version. The registry is its only way out; it never imports `serving`."""
