"""The workflows, the bots and the hooks of commits: ours, and those that a service is given."""
