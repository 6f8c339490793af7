"""Container images of one version: their build context, and the steps that run in the build."""
