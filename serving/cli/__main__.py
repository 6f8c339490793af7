"""`python -m serving.cli`: the commands of serving without those of training."""

import click

from serving.cli.serve import serve

if __name__ == "__main__":
    click.Group(commands=[serve])()
