"""The chart as generated services have it: what it renders, and what it answers to wrong values."""
