"""What a stranger reads: that it is true, complete, and leads somewhere."""
