"""What happens to a prediction between the route that accepts it and the worker that runs it."""
