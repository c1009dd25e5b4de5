"""Networks as Core ML packages, and what only macOS can do with them."""
