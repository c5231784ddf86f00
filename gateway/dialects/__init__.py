"""Dialects: how Ollama's and OpenAI's clients speak, translated at the edge into Calls and Events."""
