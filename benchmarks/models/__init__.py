"""The models of the benchmarks: each is trained once, into a registry of its own, and kept."""
