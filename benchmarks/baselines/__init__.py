"""What the product is compared with, a file each, as good as we could make it: put a better one in its place."""
