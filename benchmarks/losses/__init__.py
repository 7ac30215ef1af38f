"""Losses that no code names, and healthy systems that look odd, put to `troubleshoot`."""
