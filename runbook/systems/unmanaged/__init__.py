"""Services that nothing known to us runs: an installation of files and addresses (runtime none)."""
