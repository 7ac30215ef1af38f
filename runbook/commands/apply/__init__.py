"""A change of the files on its way: write, reload, prove, undo."""
