"""What happens with more servers than one machine has: arithmetic and simulations, no clock."""
