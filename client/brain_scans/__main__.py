"""`python -m brain_scans` is `brain-scans`."""

from brain_scans.cli import main

main()
