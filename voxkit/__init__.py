"""voxkit: a command-line speech toolkit over Lhotse manifests."""

__version__ = "0.1.0"
