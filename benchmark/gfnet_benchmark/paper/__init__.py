"""The papers' latency figure: read, explained, and drawn beside measured devices."""
