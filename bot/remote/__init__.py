"""What another machine may do to us: how long and how much it may answer, and which numbers we believe.

numbers        a wait, a count: read in one place, and bounded there
limits         the time and the bytes of one exchange; unpacking no more than that
sockets        the same at a socket: for requests and for IMAP
with_requests  for whoever calls by requests
with_httpx     for whoever calls by httpx
"""
