"""Recordings of a report's calls: copied to S3, each at a key of its own."""
