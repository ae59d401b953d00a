"""Bodies by content, in a folder or a bucket."""
