"""What `inv dev.bench NAME` runs: one module per benchmark."""
