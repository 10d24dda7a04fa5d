"""What the daemon tells about itself: events, and the hooks that write logs and traces."""
