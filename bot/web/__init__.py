"""The public pages: for readers and for whoever reads the archive. They talk to people and decide nothing."""
