"""Documents about a server: OpenAPI, JSON Schemas, protocol metadata, and the page `/docs`."""
