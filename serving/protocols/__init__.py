"""The protocols as the front knows them: paths, errors, metadata, their parts of the documents.

A protocol is a module here and a codec of the same name in `serving/host/codecs`. The modules know
neither the served models nor the sockets.
"""
