"""The explorer as a page without code, served on this machine."""
