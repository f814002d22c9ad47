"""Darkroom: an HTTP server for Diffusers pipelines and any other predictor written for Cog."""

__version__ = "0.1.0"
