"""App: the one place that constructs the parts, wires them and starts tasks."""
