"""The explorer in notebooks, and the lessons there."""
