"""The `allot` command, one file a subcommand."""
