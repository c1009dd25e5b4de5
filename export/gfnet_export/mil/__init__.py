"""ML programs, Core ML's ``.mlpackage``, read and run on any machine.

Nothing is imported here: the commands lie in this package, and `gfnet --help` must stay fast.
"""
