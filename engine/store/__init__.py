"""Models on disk: Ollama's layout, and a careful reader of GGUF headers."""
