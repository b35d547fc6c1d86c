"""Models as data: names, capabilities, lifecycles and prices. Pure but for reading its own file."""
