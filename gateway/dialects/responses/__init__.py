"""OpenAI's Responses, the part that keeps no state."""
