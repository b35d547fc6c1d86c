"""OpenAI's Chat Completions and Embeddings."""
