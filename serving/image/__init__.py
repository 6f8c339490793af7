"""Images with one version baked in: what `cloche build` writes, and what runs inside the build."""
