"""What waits in the triggerer: for a task that is deferred, and for an asset that is watched."""
