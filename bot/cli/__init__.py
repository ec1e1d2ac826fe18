"""Talks to people; takes no decisions. Heavy modules are imported inside the commands (start-up time)."""
