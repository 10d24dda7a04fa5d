"""Accept: the Unix socket, its connections, and the commands apps and people give the daemon."""
