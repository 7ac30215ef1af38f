"""Dashboard and rules files as bytes to bytes: plan a change, show it, write it safely. No network, no clock."""
