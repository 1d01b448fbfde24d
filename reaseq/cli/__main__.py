"""`python -m reaseq.cli` is `reaseq`."""

from reaseq.cli import main

main()
