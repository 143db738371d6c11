"""What leaves the house: videos of an avatar."""
