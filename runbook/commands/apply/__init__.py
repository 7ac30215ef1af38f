"""A change of the files: back up, write, reload, prove, undo (`steps`); the services that read them; the proofs."""
