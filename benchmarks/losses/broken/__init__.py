"""Programs with a deliberate mistake, each started in the place of a part of the local stack."""
