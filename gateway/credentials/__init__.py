"""Secrets by reference, and Google access tokens made from them. Importing this room loads no heavy library."""
