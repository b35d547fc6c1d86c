"""The nouns that travel through the house. Pure: no network, no clock, no Flask, and nothing else of ours."""
