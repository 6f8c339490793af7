"""What every answer over HTTP needs: the parts of ASGI, headers, sockets, and who may ask."""
