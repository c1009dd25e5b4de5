"""Running bundles where they are deployed.  Needs no torch."""
