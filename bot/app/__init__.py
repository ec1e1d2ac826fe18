"""The composition root: the use cases, built by hand from the rooms below."""
