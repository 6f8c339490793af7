"""Requests that wait for a model: the queue, its batches, and deadlines."""
