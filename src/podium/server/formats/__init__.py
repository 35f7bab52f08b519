"""OpenAI's formats, read into the gateway's terms and written from them."""
