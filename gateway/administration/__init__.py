"""What operators do: projects, keys, providers, usage, audit. Use cases without HTTP or terminals, for the doors to call."""
