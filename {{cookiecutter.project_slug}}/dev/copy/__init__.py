"""`make copy` copies a pattern of docs/patterns/ into another project, and updates the copy.

`pattern` knows what a pattern consists of, `host` where it lands. `adapt` fits the code to that
place, `merge` decides about each file, and `__main__` is the command.
"""
