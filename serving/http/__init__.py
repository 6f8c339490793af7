"""Client connections over HTTP/1.1: uvicorn's protocol with limits, deadlines and a fast path."""
