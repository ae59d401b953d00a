"""Ports that are taken are stepped around; a live process of ours keeps its own."""

import socket
from pathlib import Path

import pytest

from cli.stack.plan import choose_ports
from cli.stack.ports import LOOPBACK, Reservations, accepts, any_free, first_free, is_free
from cli.stack.process import Service, launch, read_record, stop
from cli.stack.settings import StackSettings
from cli.stack.state import StackStatus, StateFolder
from tests.cli.stack.test_process import KILL, SLEEP
from tests.support.small_stack import service
from tests.support.waiting import wait_until


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    made = StateFolder(tmp_path / "state")
    made.create()
    return made


def settings(**ports: int) -> StackSettings:
    return StackSettings().model_copy(update={"temporal_address": None, "database_url": None, **ports})


def test_a_taken_port_is_stepped_around() -> None:
    with socket.socket() as other:
        other.bind((LOOPBACK, any_free()))
        other.listen()
        port = other.getsockname()[1]
        assert not is_free(port)
        assert accepts(port)
        chosen = first_free(port)
        assert chosen > port
        assert is_free(chosen)


def test_a_port_that_another_stack_was_given_is_stepped_around() -> None:
    one, two = Reservations(), Reservations()
    preferred = any_free()
    given = one.first_free(preferred)
    assert is_free(given), "nobody listens on it yet"
    assert two.first_free(preferred) > given
    assert not two.hold(given)
    one.close()
    assert two.hold(given)
    two.close()


def test_no_free_port_is_an_error_that_names_the_range() -> None:
    with pytest.raises(OSError, match="between 65536 and"):
        Reservations().first_free(65_536)


def test_the_usual_ports_are_taken_when_free_and_the_moved_ones_are_named(folder: StateFolder) -> None:
    api, temporal, page, postgres = any_free(), any_free(), any_free(), any_free()
    with socket.socket() as other:
        other.bind((LOOPBACK, api))
        other.listen()
        ports = choose_ports(
            settings(api_port=api, temporal_port=temporal, temporal_ui_port=page, postgres_port=postgres), folder
        )
    assert (ports["temporal"], ports["temporal-ui"], ports["postgres"]) == (temporal, page, postgres)
    assert ports["api"] > api
    assert ports.moved == {"api": api}
    ports.reservations.close()


def test_two_ports_with_the_same_usual_number_never_clash(folder: StateFolder) -> None:
    same = any_free()
    ports = choose_ports(settings(api_port=same, temporal_port=same, temporal_ui_port=same, postgres_port=same), folder)
    assert len(set(ports.chosen.values())) == 4
    ports.reservations.close()


def test_a_live_process_keeps_its_port(folder: StateFolder) -> None:
    small = service(folder.path, "api", SLEEP)
    lock = folder.lock("api")
    launch(Service(**{**vars(small), "lock": lock}))
    wait_until(lambda: read_record(lock), what="the record")
    before = {"api": 4001, "postgres": 4002, "temporal": 4003, "temporal-ui": 4004}
    status = StackStatus(
        state_dir=str(folder.path),
        supervisor_pid=1,
        supervisor_started="",
        api_url="",
        temporal_address="",
        ports=before,
    )
    folder.stack_file.write_text(status.model_dump_json())
    ports = choose_ports(settings(), folder)
    record = read_record(lock)
    assert record
    stop(record, KILL)
    assert ports["api"] == 4001, "it lives, and listens there"
    assert ports["postgres"] != 4002, "nobody lives there"
    ports.reservations.close()
