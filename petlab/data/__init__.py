"""Tables with public cards, split over owners."""
