"""Gemini's generateContent, of Vertex AI and of the Gemini API."""
