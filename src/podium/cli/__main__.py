"""`python -m podium.cli`: the `podium` command."""

from podium.cli.main import main

main()
