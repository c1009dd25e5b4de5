"""Pictures of where a network looked, and how every chart looks."""
