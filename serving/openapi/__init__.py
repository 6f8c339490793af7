"""Documents about a server: OpenAPI, JSON Schemas, metadata of protocols, and the page at `/docs`."""
