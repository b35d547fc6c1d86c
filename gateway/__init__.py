"""Tollgate: a serverless LLM gateway for Google Cloud."""

NAME = "tollgate"
VERSION = "0.1.0"
