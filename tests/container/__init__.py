"""The image and the composition, as far as they can be held to work where there is no Docker."""
