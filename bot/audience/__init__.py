"""Who gets the mail: tokens, addresses, import and export. Public names are in the modules."""
