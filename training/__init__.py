"""From a recipe to a promoted version; it never imports `serving`."""
