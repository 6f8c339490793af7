"""Read one part into typed rows; each format in a module of its own."""
