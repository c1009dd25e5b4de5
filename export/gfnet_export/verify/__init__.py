"""Does the exported network compute, and decide, what the trained one does?"""
