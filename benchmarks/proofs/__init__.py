"""The examiner of `inv verify`: random runs on the local stack, and an oracle that counts at the sources."""
