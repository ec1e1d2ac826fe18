"""Telling other programs: how a call is signed, made, and judged by its answer."""
