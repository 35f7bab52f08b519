"""The gateway as a server: OpenAI's routes over HTTP, for any client that speaks them."""
