"""Training: from a recipe to a promoted version. It never imports `cloche.serving`."""
