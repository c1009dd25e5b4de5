"""The network: encoders, policy and classifier, as three functions over an explicit state.  Needs torch."""
