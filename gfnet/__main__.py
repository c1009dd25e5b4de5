"""``python -m gfnet``, which is also what ``torchrun -m gfnet`` starts on every rank."""

from gfnet.cli import main

if __name__ == "__main__":
    main()
