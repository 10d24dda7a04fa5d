"""Execute: run a plan. Routes, attempts, failover, time limits, and delivery to the caller."""
