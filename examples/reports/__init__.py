"""The documented experiments as records; ``python examples/reproduce.py --list`` shows them."""
