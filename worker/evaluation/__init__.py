"""All figures of a model on a folder of labelled pictures, each with its interval. Never imports torch."""
