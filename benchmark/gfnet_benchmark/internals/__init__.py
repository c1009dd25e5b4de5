"""How fast, and how good, this project's own parts are."""
