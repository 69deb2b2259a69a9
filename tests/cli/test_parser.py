"""What is mistyped on the command line is told with what was probably meant."""

import pytest

from ase_crysdiff.cli.main import main


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["smaple"], "crysdiff: COMMAND cannot be 'smaple'. Did you mean 'sample'?"),
        (["zzzzzz"], "crysdiff: COMMAND cannot be 'zzzzzz', but one of list, sample, inpaint,"),
        (["sample", "--stpes", "9"], "crysdiff sample: there is no option --stpes. Did you mean"),
        (["sample", "--stpes=9"], "there is no option --stpes. Did you mean '--steps'"),
        (["sample", "--zzzzzz"], "crysdiff sample: there is no option --zzzzzz.\n"),
        (["sample", "miad", "one", "two"], "crysdiff sample: nothing takes 'one' 'two'."),
        (["benchmark", "cps"], "crysdiff benchmark: KIND cannot be 'cps'. Did you mean 'csp'?"),
        (
            ["benchmark", "panel", "miad", "--sed", "1"],
            "crysdiff benchmark panel: there is no option --sed. Did you mean '--seed'",
        ),
        (["train", "miad", "--precision", "bf16"], "--precision cannot be 'bf16'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistyped_words_are_told_with_what_was_meant(words, said, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("crysdiff")
    assert said in told
    assert told.splitlines()[1:] == [f"usage: {told.split(':')[0]} --help"]


def test_help_and_version_are_no_mistakes(capsys):
    for words in (["--version"], ["sample", "--help"], ["benchmark", "csp", "-h"]):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 0
    assert "ase-crysdiff" in capsys.readouterr().out
