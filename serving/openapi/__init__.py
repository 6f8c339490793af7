"""Documents about a server: OpenAPI, JSON Schemas, metadata of protocols, the page `/docs`."""
