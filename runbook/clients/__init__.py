"""The only importers of vendor SDKs. Each client returns frozen facts and decides nothing."""
