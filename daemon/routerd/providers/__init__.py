"""Providers: one pure wire adapter a vendor, and the transport that carries their bytes."""
