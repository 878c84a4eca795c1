"""`python -m voxkit` is the same as `voxkit`."""

from voxkit.cli import main

main()
