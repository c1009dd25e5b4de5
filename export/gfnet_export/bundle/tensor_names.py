"""The names of every subgraph's tensors, in one place.

A Core ML input and output of one graph may not share a name, and an output called ``state`` is renamed
silently; hence ``new_`` and no plain "state".
"""

IMAGE = "image"
"""The glance, float32 [1,3,P,P], pixels in 0 .. 255."""
PATCH = "patch"
"""A focus step's patch, float32 [1,3,P,P], pixels in 0 .. 255."""
FEATURE_MAP = "feature_map"
"""What the policy looks at, float32 [1,C,h,w]."""
LOGITS = "logits"
"""A step's answer before softmax, float32 [1,num_classes]."""
ACTION = "action"
"""Where to look next, (row, col) in [0, 1], float32 [1,2]."""
PIXELS = "pixels"
"""The full-resolution image as it lies in memory, uint8 [1,S,S,3]; for steps that crop by themselves."""
NEW_FEATURE_MAP = "new_feature_map"
"""A feature map that leaves a graph which another one entered."""
MEMORY = "memory"
"""The classifier's memory before a step; after it, :data:`NEW_MEMORY`."""
NEW_MEMORY = "new_memory"
HIDDEN = "hidden"
"""The policy's memory before a proposal, zeros at first; after it, :data:`NEW_HIDDEN`."""
NEW_HIDDEN = "new_hidden"

CARRIED = {NEW_MEMORY: MEMORY, NEW_HIDDEN: HIDDEN, NEW_FEATURE_MAP: FEATURE_MAP}
"""Output of one subgraph to the later input that it becomes; the others keep their names."""

INPUTS = {
    "glance": {IMAGE},
    "policy": {FEATURE_MAP, HIDDEN},
    "focus": {PATCH, MEMORY},
    "step": {PIXELS, FEATURE_MAP, HIDDEN, MEMORY},
}
"""What each role's graph is given."""
ANSWERS = {"glance": {LOGITS}, "policy": {ACTION, NEW_HIDDEN}, "focus": {LOGITS}, "step": {ACTION, LOGITS}}
"""What each role's graph gives at least."""

DESCRIPTIONS = {
    IMAGE: "The whole photo, shrunk to patch size with corners aligned; pixels in 0 .. 255, RGB planes.",
    PATCH: "A square cut out of the full-resolution photo; pixels in 0 .. 255, RGB planes.",
    PIXELS: "The full-resolution photo, from which the step cuts its patch; pixels in 0 .. 255, RGB.",
    FEATURE_MAP: "What the encoder saw; the policy's input.",
    NEW_FEATURE_MAP: "What the encoder saw at this step; the next proposal's input.",
    LOGITS: "Scores of the classes before softmax.",
    ACTION: "Next patch: (row, col) in [0, 1]; origin = floor(action * (image size - patch size)).",
    MEMORY: "The classifier's memory after the step before.",
    NEW_MEMORY: "The classifier's memory after this step.",
    HIDDEN: "The policy's memory; zeros before the first proposal.",
    NEW_HIDDEN: "The policy's memory after this proposal.",
}
"""For the metadata of a subgraph, which a reader of the file sees."""
