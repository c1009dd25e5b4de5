"""The shape of a measured run, read and written."""
