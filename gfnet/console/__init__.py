"""What commands say to people, and how far they have come."""
