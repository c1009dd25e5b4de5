"""``gfnet demo``: the whole job from generated scenes to one page."""
