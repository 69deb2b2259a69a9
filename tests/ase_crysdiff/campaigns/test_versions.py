"""What reports say of libraries."""

from ase_crysdiff.campaigns.versions import versions


def test_a_library_that_is_not_installed_has_no_version():
    found = versions(["numpy", "not-on-this-machine"])
    assert list(found) == ["numpy"]
    assert found["numpy"].count(".") == 2
