"""The explorer as one file that needs no Python."""
