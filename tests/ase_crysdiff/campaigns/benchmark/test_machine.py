"""What reports say of the machine and the libraries."""

from ase_crysdiff.campaigns.benchmark import machine


def test_a_library_that_is_not_installed_has_no_version(monkeypatch):
    monkeypatch.setattr(machine, "LIBRARIES", ("numpy", "not-on-this-machine"))
    versions = machine.machine("cpu")["versions"]
    assert versions["numpy"].count(".") == 2
    assert versions["not-on-this-machine"] is None
