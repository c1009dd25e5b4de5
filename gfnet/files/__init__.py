"""Reading and writing: whole or not at all, with care for what is there already."""
