"""Access to versions that training and serving share: listing, files, digest, environment."""
