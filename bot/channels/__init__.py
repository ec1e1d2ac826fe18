"""Channels: what carries a message to its readers. Facts about each service are in its module."""
