"""What all commands share: completion, help pages, closed output, and notices."""
