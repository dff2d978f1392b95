"""How compute parties of mpc meet, and how what they say to each other is metered."""
