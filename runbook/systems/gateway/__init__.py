"""The edge proxy and the gateway."""
