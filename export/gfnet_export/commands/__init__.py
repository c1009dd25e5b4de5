"""The commands of this package, one file each; what is heavy is imported when one runs."""
