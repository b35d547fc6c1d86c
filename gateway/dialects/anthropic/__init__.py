"""Anthropic's Messages, at its own paths (`door`) and at Vertex AI's (`vertex`): the canonical form's own wire format."""
