"""Trains the embedded model: from open emoji sets to a stock StableDiffusionPipeline, on one GPU, in minutes.

docs/training.md tells how to run it; `python -m training --help` lists the stages.
"""
