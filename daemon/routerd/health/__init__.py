"""Health: what calls found out about the deployments that served them, or did not."""
