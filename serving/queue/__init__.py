"""Requests that wait for a model: the queue, its batches, and their deadlines."""
