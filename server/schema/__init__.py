"""From the typed signature of `predict` to an OpenAPI document and the validation of inputs."""
