"""Whether receivers will believe our mail: what DNS says of our domains and of the mail server."""
