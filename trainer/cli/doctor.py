"""``atb doctor``: the image's smoke test and the first line of support."""

from __future__ import annotations

import click


@click.command()
@click.option("--gpus", type=click.IntRange(0, 64), default=0, show_default=True, help="How many GPUs must be seen.")
@click.option("--store", "store_url", metavar="URL", help="Also try this store: a directory or s3://bucket/prefix.")
@click.option("--endpoint-url", metavar="URL", help="Where an S3-compatible server listens.")
def doctor(gpus: int, store_url: str | None, endpoint_url: str | None) -> None:
    """Say what this place can do: versions, device, a small training, store, clock.

    Exits 0 when all is well, 21 when a GPU was asked for and is absent, 75 when the store does not answer,
    else with the code a job would end with here.
    """
    from trainer.doctor import examine
    from trainer.errors import AtbError
    from trainer.storage import open_store

    store = open_store(store_url, endpoint_url) if store_url else None
    first: AtbError | None = None
    for finding in examine(gpus, store, None):
        mark = "FAULT" if finding.error else "note" if finding.note else "ok"
        click.echo(f"{mark:<6}{finding.name:<10}{finding.error or finding.text}")
        first = first or finding.error
    if first is not None:
        raise first
