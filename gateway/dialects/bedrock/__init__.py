"""Bedrock's InvokeModel for Claude, with its binary event stream."""
