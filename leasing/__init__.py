"""Who works on a row, and the bell that calls a worker: what jobs and webhook deliveries have in common."""
