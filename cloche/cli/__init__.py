"""Code that all commands share: completion, help pages, closed output, and notices."""
