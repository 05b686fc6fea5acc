"""A page that needs no Python: runs that were computed before, packed into one HTML file that shows them."""
