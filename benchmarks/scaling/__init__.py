"""What happens with more servers than one machine has: arithmetic and simulations, without a clock."""
