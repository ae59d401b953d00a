"""Servers of the user's own are asked for before anything is started: an address that is wrong is said at once."""

import socket

import psycopg

from cli.stack.settings import StackSettings
from domain.errors import Unavailable

SECONDS = 5.0


def check_reach(settings: StackSettings) -> None:
    """Raises Unavailable that names the address; never a password."""
    if settings.database_url is not None:
        _check_database(settings.database_url)
    if settings.temporal_address is not None:
        _check_temporal(settings.temporal_address)


def _check_database(url: str) -> None:
    hint = "Start it, correct DATABASE_URL, or leave it out: then a PostgreSQL of this stack's own is started."
    try:
        where = psycopg.conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        raise Unavailable(f"DATABASE_URL is no address of PostgreSQL: {error}", hint=hint) from None
    address = f"{where.get('host', 'localhost')}:{where.get('port', 5432)}"
    try:
        psycopg.connect(url, connect_timeout=int(SECONDS)).close()
    except psycopg.OperationalError as error:
        told = str(error).strip().splitlines()[-1]
        raise Unavailable(f"PostgreSQL at {address} (DATABASE_URL) does not let us in: {told}", hint=hint) from None


def _check_temporal(address: str) -> None:
    hint = "Start it, correct TEMPORAL_ADDRESS, or leave it out: then a server of this stack's own is started."
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=SECONDS).close()
    except (OSError, ValueError) as error:
        raise Unavailable(f"Temporal at {address} (TEMPORAL_ADDRESS) does not answer: {error}", hint=hint) from None
